// Package stack reads error reports out of log text: what Lambda's runtimes
// print for Node.js, Python, Java, Ruby, .NET, Go, Rust and PHP, as text or as JSON.
package stack

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	maxFrames     = 60
	maxExceptions = 8
	maxMembers    = 4
	maxValue      = 4 << 10
	maxName       = 512
)

// Languages, named as Sentry's platforms.
const (
	Node   = "node"
	Python = "python"
	Java   = "java"
	Ruby   = "ruby"
	DotNet = "csharp"
	Go     = "go"
	Rust   = "rust"
	PHP    = "php"
)

// Frame is one line of a stack trace.
type Frame struct {
	Function string
	Module   string
	Path     string
	Line     int
	Column   int
	Source   string // the line of code, where the trace has it
	InApp    bool

	Pre, Post   []string // lines around Source
	RawFunction string   // the name in the generated code
	Mapped      bool     // it says where the author's code is, not the code that ran
}

// DebugImage names a file whose map the server may have.
type DebugImage struct {
	CodeFile string
	DebugID  string
}

// Exception is one error with its frames, outermost call first.
type Exception struct {
	Type   string
	Module string
	Value  string
	Frames []Frame
	// Code and Properties are the error's own, besides its message.
	Code       string
	Properties map[string]string
	// Member: one of the errors that the last one is made of, not a cause in its chain.
	Member bool
	// RawFrames are those of the code that ran, where Frames were mapped.
	RawFrames []Frame
}

// FullType is the type as the runtime names it.
func (e Exception) FullType() string {
	if e.Module == "" {
		return e.Type
	}
	return e.Module + "." + e.Type
}

// Trace is an error and its causes, the first cause first, as Sentry wants it.
type Trace struct {
	Language   string
	Exceptions []Exception
}

// Last is the error that was thrown last, the one a reader calls "the error".
func (t Trace) Last() Exception {
	if len(t.Exceptions) == 0 {
		return Exception{}
	}
	return t.Exceptions[len(t.Exceptions)-1]
}

// CompletedBy takes over the causes and members of the same error, as printed by the
// code before throwing it: the runtime's own line shows neither.
func (t Trace) CompletedBy(printed Trace) Trace {
	n := len(printed.Exceptions)
	if len(t.Exceptions) != 1 || n < 2 {
		return t
	}
	own, last := t.Exceptions[0], printed.Exceptions[n-1]
	if own.Type != last.Type || (own.Value != last.Value && own.Value != "") {
		return t
	}
	if own.Code == "" {
		own.Value = last.Value
	}
	t.Exceptions = append(printed.Exceptions[:n-1:n-1], own)
	return t
}

// WithMembers puts the errors that the last one is made of in front. Where it
// has no message and no code of its own, they give it one.
func (t Trace) WithMembers(members []Exception, count int) Trace {
	if len(members) == 0 || len(t.Exceptions) == 0 {
		return t
	}
	members = members[:min(len(members), maxMembers)]
	texts := make([]string, len(members))
	for i := range members {
		members[i].Member = true
		texts[i] = Clip(members[i].Value, maxProperty)
	}
	last := &t.Exceptions[len(t.Exceptions)-1]
	if last.Value == "" && last.Code == "" {
		last.Value = fmt.Sprintf("%d errors: %s", count, strings.Join(texts, ", "))
	}
	t.Exceptions = append(append([]Exception{}, members...), t.Exceptions...)
	return t
}

// HasFrames says whether any error of the chain has frames.
func (t Trace) HasFrames() bool {
	for _, e := range t.Exceptions {
		if len(e.Frames) > 0 {
			return true
		}
	}
	return false
}

// Parse reads a stack trace of any known language out of a text.
func Parse(text string) (Trace, bool) {
	lines := splitLines(text)
	parse := detect(lines)
	if parse == nil {
		return Trace{}, false
	}
	trace, ok := parse(lines)
	if !ok || len(trace.Exceptions) == 0 {
		return Trace{}, false
	}
	return trace.bounded(), true
}

// detect picks the parser by the first line that only one language prints.
func detect(lines []string) func([]string) (Trace, bool) {
	for _, line := range lines {
		trimmed := strings.TrimLeft(line, " \t")
		switch {
		case strings.HasPrefix(line, "panic: "), strings.HasPrefix(line, "fatal error: "), strings.HasPrefix(line, "goroutine ") && strings.HasSuffix(line, "]:"):
			return parseGo
		case IsRustHead(line):
			return parseRust
		case strings.Contains(line, phpHead) && strings.Contains(line, " in "):
			return parsePHP
		case strings.HasPrefix(trimmed, "Traceback (most recent call last)"), strings.HasPrefix(trimmed, `File "`):
			return parsePython
		case strings.HasPrefix(trimmed, "at "):
			return detectAt(trimmed)
		case strings.HasPrefix(line, "\tfrom ") && strings.Contains(line, ":in "), IsRubyHead(line):
			return parseRuby
		}
	}
	return nil
}

// detectAt tells apart the three languages whose frames begin with "at".
func detectAt(line string) func([]string) (Trace, bool) {
	switch {
	case nodeLocation(line):
		return parseNode
	case strings.Contains(line, ":line "):
		return parseDotNet
	case javaFrameLine(line):
		return parseJava
	case strings.HasSuffix(line, ")"), strings.Contains(line, ") + 0x"): // the second is a native image's
		return parseDotNet
	}
	return nil
}

// splitLines also takes the \r that Node.js and Python use to join lines where
// there is no framed log channel, and Python's no-break spaces.
func splitLines(text string) []string {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u00a0", " ").Replace(text)
	return strings.Split(strings.TrimRight(text, "\n"), "\n")
}

// splitHead takes "Type: message" apart. ok is false when the first word is not a type name.
func splitHead(line string) (typ, value string, ok bool) {
	typ, value, found := strings.Cut(line, ":")
	typ = strings.TrimSpace(typ)
	if !found {
		value = ""
	}
	if name, _, coded := strings.Cut(typ, "["); coded && strings.HasSuffix(typ, "]") { // Error [ERR_X]: message
		typ = strings.TrimSpace(name)
	}
	if !isTypeName(typ) {
		return "", "", false
	}
	return typ, strings.TrimSpace(value), true
}

func isTypeName(s string) bool {
	if s == "" || len(s) > 200 || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	for _, c := range s {
		word := c == '_' || c == '.' || c == '$' || c == '`' || c == '+' || c == '<' || c == '>' ||
			(c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c > 127
		if !word {
			return false
		}
	}
	return true
}

// looksLikeError tells an error's type from any other word before a colon.
func looksLikeError(typ string) bool {
	for _, suffix := range []string{"Error", "Exception", "Exit", "Interrupt", "Throwable", "Failure", "Fault", "Warning"} {
		if strings.HasSuffix(typ, suffix) {
			return true
		}
	}
	return false
}

// splitModule moves a package or namespace out of the type. Lambda's own types
// (Runtime.ExitError) stay whole: they are names, not paths.
func splitModule(full string) (module, typ string) {
	for _, own := range []string{"Runtime.", "Function.", "Extension.", "Sandbox."} {
		if strings.HasPrefix(full, own) {
			return "", full
		}
	}
	dot := strings.LastIndexByte(full, '.')
	if dot <= 0 || dot == len(full)-1 {
		return "", full
	}
	return full[:dot], full[dot+1:]
}

func reversed[T any](in []T) []T {
	out := make([]T, 0, len(in))
	for i := len(in) - 1; i >= 0; i-- {
		out = append(out, in[i])
	}
	return out
}

func (t Trace) bounded() Trace {
	if n := len(t.Exceptions); n > maxExceptions {
		t.Exceptions = t.Exceptions[n-maxExceptions:]
	}
	for i := range t.Exceptions {
		e := &t.Exceptions[i]
		if e.Type == "" { // a cause whose head is not "Type: message"
			e.Type = "Error"
		}
		e.Type, e.Module, e.Value = Clip(e.Type, maxName), Clip(e.Module, maxName), Clip(e.Value, maxValue)
		// Both ends of a deep recursion are telling, its middle is not.
		if n := len(e.Frames); n > maxFrames {
			e.Frames = append(append([]Frame{}, e.Frames[:maxFrames/2]...), e.Frames[n-maxFrames/2:]...)
		}
		for j := range e.Frames {
			f := &e.Frames[j]
			f.Function, f.Module = Clip(f.Function, maxName), Clip(f.Module, maxName)
			f.Path, f.Source = Clip(f.Path, maxName), Clip(f.Source, maxName)
			f.Line, f.Column = max(f.Line, 0), max(f.Column, 0)
		}
	}
	return t
}

// Clip cuts a text to n bytes at a character's border.
func Clip(s string, n int) string {
	if len(s) > n {
		s = s[:n-3]
		s = strings.ToValidUTF8(s, "") + "..."
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// inApp says whether a file is the user's own code.
func inApp(path string) bool {
	for _, foreign := range []string{"/node_modules/", "/site-packages/", "/dist-packages/", "/vendor/bundle/", "/gems/", "/.pnpm/", "/pkg/mod/"} {
		if strings.Contains(path, foreign) {
			return false
		}
	}
	for _, prefix := range []string{"/var/runtime", "/var/lang", "/opt/", "/usr/", "/lib", "node:", "internal/", "<frozen", "<anonymous>", "native"} {
		if strings.HasPrefix(path, prefix) {
			return false
		}
	}
	return path != "" && !strings.HasPrefix(path, "<")
}

// atoi is 0 for anything but a small number.
func atoi(s string) int {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n > 1<<30 {
		return 0
	}
	return max(n, 0)
}
