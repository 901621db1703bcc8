package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strconv"
)

// values gives a switch to each constant expression that a mutated literal is part of, at its use.
func (in *instrumenter) values(own string, file *ast.File) {
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.GenDecl:
			return node.Tok != token.CONST && node.Tok != token.IMPORT
		case *ast.ArrayType:
			return false
		case ast.Expr:
			value := in.info.Types[node]
			if value.Value == nil || value.Value.Kind() != constant.Int && value.Value.Kind() != constant.Float {
				return true
			}
			ids := map[int]bool{}
			in.literalsOf(node, ids)
			if len(ids) == 0 {
				return false
			}
			typ := types.Default(value.Type)
			name := in.fset.Position(node.Pos()).Filename
			typeName := types.TypeString(typ, func(pkg *types.Package) string {
				if pkg.Path() == own {
					return ""
				}
				return in.imported(name, pkg.Path())
			})
			before, after := "", ""
			for _, id := range slices.Sorted(maps.Keys(ids)) {
				mutated := in.evaluate(node, id)
				if !fits(mutated, typ) {
					continue
				}
				before += fmt.Sprintf("__m.Value[%s](", typeName)
				after += fmt.Sprintf(", %d, %s)", id, print(mutated, typ))
			}
			in.edit(node.Pos(), node.Pos(), before, 0)
			in.edit(node.End(), node.End(), after, -2_000_000)
			return false
		}
		return true
	})
}

func (in *instrumenter) imported(file, path string) string {
	if in.imports[file] == nil {
		in.imports[file] = map[string]string{}
	}
	if in.imports[file][path] == "" {
		in.imports[file][path] = "__t" + strconv.Itoa(len(in.imports[file]))
	}
	return in.imports[file][path]
}

func (in *instrumenter) literalsOf(expr ast.Expr, ids map[int]bool) {
	ast.Inspect(expr, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.BasicLit:
			if id := in.literals[node.Pos()]; id != 0 {
				ids[id] = true
			}
		case *ast.Ident:
			if value := in.constants[in.info.Uses[node]]; value != nil {
				in.literalsOf(value, ids)
			}
		}
		return true
	})
}

// evaluate is the value of a constant expression where one literal in it is another.
func (in *instrumenter) evaluate(expr ast.Expr, id int) constant.Value {
	switch node := expr.(type) {
	case *ast.BasicLit:
		if in.literals[node.Pos()] == id {
			return other(node)
		}
	case *ast.ParenExpr:
		return in.evaluate(node.X, id)
	case *ast.Ident:
		if value := in.constants[in.info.Uses[node]]; value != nil {
			return in.evaluate(value, id)
		}
	case *ast.SelectorExpr:
		return in.evaluate(node.Sel, id)
	case *ast.UnaryExpr:
		return constant.UnaryOp(node.Op, in.evaluate(node.X, id), 0)
	case *ast.BinaryExpr:
		left, right := in.evaluate(node.X, id), in.evaluate(node.Y, id)
		if node.Op == token.SHL || node.Op == token.SHR {
			count, _ := constant.Uint64Val(right)
			return constant.Shift(constant.ToInt(left), node.Op, uint(count))
		}
		if node.Op == token.QUO && left.Kind() == constant.Int && right.Kind() == constant.Int {
			return constant.BinaryOp(left, token.QUO_ASSIGN, right)
		}
		return constant.BinaryOp(left, node.Op, right)
	case *ast.CallExpr:
		if in.info.Types[node.Fun].IsType() {
			return in.evaluate(node.Args[0], id)
		}
	}
	if ident, ok := expr.(*ast.Ident); ok {
		return in.info.Uses[ident].(*types.Const).Val()
	}
	return in.info.Types[expr].Value
}

func fits(value constant.Value, typ types.Type) bool {
	basic, ok := typ.Underlying().(*types.Basic)
	if !ok {
		return false
	}
	sizes := map[types.BasicKind]uint{
		types.Uint8: 8, types.Int8: 7, types.Uint16: 16, types.Int16: 15, types.Int32: 31, types.Uint32: 32,
		types.Int: 63, types.Int64: 63, types.Uint: 64, types.Uint64: 64,
	}
	size, limited := sizes[basic.Kind()]
	if !limited {
		return true
	}
	limit := constant.Shift(constant.MakeInt64(1), token.SHL, size)
	return constant.Compare(value, token.LSS, limit)
}

func print(value constant.Value, typ types.Type) string {
	if value.Kind() == constant.Float && typ.Underlying().(*types.Basic).Info()&types.IsInteger == 0 {
		float, _ := constant.Float64Val(value)
		return strconv.FormatFloat(float, 'g', -1, 64)
	}
	return constant.ToInt(value).ExactString()
}

func other(literal *ast.BasicLit) constant.Value {
	value := constant.MakeFromLiteral(literal.Value, literal.Kind, 0)
	return constant.BinaryOp(constant.BinaryOp(value, token.MUL, constant.MakeInt64(2)), token.ADD, constant.MakeInt64(1))
}
