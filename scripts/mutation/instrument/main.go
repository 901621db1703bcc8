// Instrument writes an overlay of a Go module in which every limit and every comparison has a switch, so that
// one build holds all mutants: `go run *.go <module> <folder>` leaves overlay.json and mutants.json in the
// folder. MUTANT in the environment of a test binary says which one is alive; with MUTATION_REACHED, a file, it
// notes each one that it reaches.
//
// A constant stays one: each use of it outside of constants becomes a call that returns the original or what
// the mutated declaration would give, in the tests too, which would otherwise compare the changed limit with
// the one they know from the same name.
package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// runtime is the package that the instrumented sources import.
//
//go:embed switches.go.txt
var runtime []byte

var (
	ordered = map[token.Token]string{token.LSS: "Less", token.LEQ: "AtMost", token.GTR: "More", token.GEQ: "AtLeast"}
	swapped = map[token.Token]string{
		token.LSS: "<=", token.LEQ: "<", token.GTR: ">=", token.GEQ: ">", token.EQL: "!=", token.NEQ: "==",
	}
)

type mutant struct {
	ID     int    `json:"id"`
	File   string `json:"file"`
	Line   int    `json:"line"`
	Source string `json:"source"`
	From   string `json:"from"`
	To     string `json:"to"`
}

type listed struct {
	ImportPath, Dir, Export            string
	Module                             *struct{ Dir string }
	GoFiles, TestGoFiles               []string
	Imports, TestImports, XTestGoFiles []string
}

type edit struct {
	at, end int
	text    string
	order   int
}

type instrumenter struct {
	module  string
	fset    *token.FileSet
	info    *types.Info
	texts   map[string][]byte
	mutants []mutant
	// The literals that have a mutant, by position, and the declarations of the constants.
	literals  map[token.Pos]int
	constants map[types.Object]ast.Expr
	edits     map[string][]edit
	imports   map[string]map[string]string
}

func main() {
	module, err := filepath.Abs(os.Args[1])
	must(err)
	folder := os.Args[2]
	in := &instrumenter{
		module: module, fset: token.NewFileSet(), texts: map[string][]byte{}, literals: map[token.Pos]int{},
		constants: map[types.Object]ast.Expr{}, edits: map[string][]edit{}, imports: map[string]map[string]string{},
		info: &types.Info{
			Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{},
		},
	}
	own, exports := list(module)
	checked := map[string]*types.Package{}
	files := map[string][]*ast.File{}
	outside := importer.ForCompiler(in.fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	var check func(path string) *types.Package
	check = func(path string) *types.Package {
		if done, ok := checked[path]; ok {
			return done
		}
		pkg := own[path]
		if pkg == nil {
			imported, err := outside.Import(path)
			must(err)
			return imported
		}
		for _, name := range append(slices.Clone(pkg.GoFiles), pkg.TestGoFiles...) {
			full := filepath.Join(pkg.Dir, name)
			text, err := os.ReadFile(full)
			must(err)
			in.texts[full] = text
			file, err := parser.ParseFile(in.fset, full, text, parser.SkipObjectResolution)
			must(err)
			files[path] = append(files[path], file)
		}
		config := types.Config{Importer: importFunc(check)}
		result, err := config.Check(path, in.fset, files[path], in.info)
		must(err)
		checked[path] = result
		return result
	}
	for _, path := range slices.Sorted(maps.Keys(own)) {
		check(path)
	}
	each := func(do func(pkg string, file *ast.File, test bool)) {
		for _, path := range slices.Sorted(maps.Keys(own)) {
			for _, file := range files[path] {
				name := in.fset.File(file.Pos()).Name()
				do(path, file, strings.HasSuffix(name, "_test.go") || strings.Contains(name, "/harness/"))
			}
		}
	}
	each(func(pkg string, file *ast.File, test bool) { in.declarations(file) })
	each(func(pkg string, file *ast.File, test bool) {
		if !test {
			in.find(file)
		}
	})
	each(func(pkg string, file *ast.File, test bool) { in.values(pkg, file) })
	in.write(folder)
}

func list(module string) (own map[string]*listed, exports map[string]string) {
	cmd := exec.Command("go", "list", "-test", "-deps", "-export", "-json", "./...")
	cmd.Dir, cmd.Stderr = module, os.Stderr
	out, err := cmd.Output()
	must(err)
	own, exports = map[string]*listed{}, map[string]string{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); decoder.More(); {
		var pkg listed
		must(decoder.Decode(&pkg))
		if strings.Contains(pkg.ImportPath, " ") || strings.HasSuffix(pkg.ImportPath, ".test") {
			continue
		}
		exports[pkg.ImportPath] = pkg.Export
		if pkg.Module != nil && pkg.Module.Dir == module {
			own[pkg.ImportPath] = &pkg
		}
	}
	return own, exports
}

func (in *instrumenter) declarations(file *ast.File) {
	ast.Inspect(file, func(node ast.Node) bool {
		if decl, ok := node.(*ast.GenDecl); ok && decl.Tok == token.CONST {
			for _, spec := range decl.Specs {
				spec := spec.(*ast.ValueSpec)
				for i, name := range spec.Names {
					if i < len(spec.Values) {
						in.constants[in.info.Defs[name]] = spec.Values[i]
					}
				}
			}
		}
		return true
	})
}

// find gives a mutant to each comparison, and to each number that stands for a limit: in a declaration,
// beside `<`, as a time, as the
// size of what is made, or in a field of its own. An index, a step, a base and a shift are none.
func (in *instrumenter) find(file *ast.File) {
	var parents []ast.Node
	ast.Inspect(file, func(node ast.Node) bool {
		if node == nil {
			parents = parents[:len(parents)-1]
			return true
		}
		parents = append(parents, node)
		switch node := node.(type) {
		case *ast.BinaryExpr:
			if to, ok := swapped[node.Op]; ok && in.info.Types[node].Value == nil {
				id := in.add(node.OpPos, node.Op.String(), to)
				in.compare(node, id)
			}
		case *ast.BasicLit:
			if (node.Kind == token.INT || node.Kind == token.FLOAT) && in.isLimit(parents) {
				in.literals[node.Pos()] = in.add(node.Pos(), node.Value, other(node).ExactString())
			}
		}
		return true
	})
}

func (in *instrumenter) isLimit(parents []ast.Node) bool {
	literal := parents[len(parents)-1].(*ast.BasicLit)
	if named, ok := in.info.Types[literal].Type.(*types.Named); ok && named.Obj().Name() == "Duration" && literal.Value != "0" {
		return true
	}
	for i := len(parents) - 2; i >= 0; i-- {
		child := parents[i+1]
		switch parent := parents[i].(type) {
		case *ast.ParenExpr:
		case *ast.UnaryExpr:
		case *ast.BinaryExpr:
			if _, ok := ordered[parent.Op]; ok {
				return literal.Value != "0" // to be over or under nothing is the operator's business
			}
			if _, ok := swapped[parent.Op]; ok || (parent.Op == token.SHL || parent.Op == token.SHR) && parent.Y == child {
				return false
			}
			if in.info.Types[parent].Value == nil {
				return false
			}
		case *ast.ValueSpec:
			return literal.Value != "0"
		case *ast.KeyValueExpr:
			return parent.Value == child && literal.Value != "0"
		case *ast.CallExpr:
			if in.info.Types[parent.Fun].IsType() {
				continue
			}
			name := callee(parent)
			return parent.Fun != child && literal.Value != "0" &&
				(name == "min" || name == "max" || name == "make" || name == "LimitReader" || strings.HasSuffix(name, "Size"))
		default:
			return false
		}
	}
	return false
}

func callee(call *ast.CallExpr) string {
	switch fun := call.Fun.(type) {
	case *ast.Ident:
		return fun.Name
	case *ast.SelectorExpr:
		return fun.Sel.Name
	}
	return ""
}

func (in *instrumenter) add(pos token.Pos, from, to string) int {
	place := in.fset.Position(pos)
	line := strings.Split(string(in.texts[place.Filename]), "\n")[place.Line-1]
	file, err := filepath.Rel(in.module, place.Filename)
	must(err)
	in.mutants = append(in.mutants, mutant{len(in.mutants) + 1, file, place.Line, strings.TrimSpace(line), from, to})
	return len(in.mutants)
}

func (in *instrumenter) compare(node *ast.BinaryExpr, id int) {
	depth := int(node.End() - node.Pos())
	if name, ok := ordered[node.Op]; ok {
		in.edit(node.Pos(), node.Pos(), fmt.Sprintf("__m.%s(%d, ", name, id), -depth)
		in.edit(node.OpPos, node.OpPos+token.Pos(len(node.Op.String())), ",", 0)
	} else {
		in.edit(node.Pos(), node.Pos(), fmt.Sprintf("__m.Flip(%d, ", id), -depth)
	}
	in.edit(node.End(), node.End(), ")", -1_000_000+depth)
}

func (in *instrumenter) edit(from, to token.Pos, text string, order int) {
	start := in.fset.Position(from)
	in.edits[start.Filename] = append(in.edits[start.Filename], edit{start.Offset, in.fset.Position(to).Offset, text, order})
}

func (in *instrumenter) write(folder string) {
	path := filepath.Join(in.module, "internal", "mutate", "mutate.go")
	replace := map[string]string{path: filepath.Join(folder, "mutate.go.txt")}
	must(os.WriteFile(replace[path], runtime, 0o600))
	for name, edits := range in.edits {
		sort.SliceStable(edits, func(i, j int) bool {
			if edits[i].at != edits[j].at {
				return edits[i].at < edits[j].at
			}
			return edits[i].order < edits[j].order
		})
		text, position := in.texts[name], 0
		var out strings.Builder
		for _, edit := range edits {
			out.Write(text[position:edit.at])
			out.WriteString(edit.text)
			position = edit.end
		}
		out.Write(text[position:])
		imports := "; import __m " + strconv.Quote(in.modulePath()+"/internal/mutate")
		for path, alias := range in.imports[name] {
			imports += "; import " + alias + " " + strconv.Quote(path)
		}
		lines := strings.SplitAfter(out.String(), "\n")
		for i, line := range lines {
			if strings.HasPrefix(line, "package ") {
				lines[i] = strings.TrimRight(line, "\n") + imports + "\n"
				break
			}
		}
		lines = append(lines, "\nvar _ = __m.Flip\n")
		replace[name] = filepath.Join(folder, strings.ReplaceAll(strings.TrimPrefix(name, in.module+"/"), "/", "__"))
		must(os.WriteFile(replace[name], []byte(strings.Join(lines, "")), 0o600))
	}
	writeJSON(filepath.Join(folder, "overlay.json"), map[string]any{"Replace": replace})
	writeJSON(filepath.Join(folder, "mutants.json"), in.mutants)
}

func (in *instrumenter) modulePath() string {
	cmd := exec.Command("go", "list", "-m")
	cmd.Dir = in.module
	out, err := cmd.Output()
	must(err)
	return strings.TrimSpace(string(out))
}

type importFunc func(path string) *types.Package

func (f importFunc) Import(path string) (*types.Package, error) {
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	return f(path), nil
}

func writeJSON(name string, value any) {
	out, err := json.MarshalIndent(value, "", " ")
	must(err)
	must(os.WriteFile(name, out, 0o600))
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
