package stack

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"cdk-serverless-blocks/crash-reporter/internal/wire"
)

func TestNoParserFindsAnErrorWhereThereIsNone(t *testing.T) {
	for language, parse := range map[string]func([]string) (Trace, bool){
		Node: parseNode, Python: parsePython, Java: parseJava, Ruby: parseRuby, DotNet: parseDotNet, Go: parseGo, Rust: parseRust, PHP: parsePHP,
	} {
		for _, text := range []string{"", "hello world!", "  a line of nothing"} {
			lines := strings.Split(text, "\n")
			if text == "" {
				lines = nil
			}
			if trace, ok := parse(lines); ok {
				t.Errorf("%s, %q: %s", language, text, shape(trace))
			}
		}
	}
}

// What is cut off, out of order or unusual is read as far as it goes.
func TestIncompleteReports(t *testing.T) {
	for text, want := range map[string]string{
		// A head that is missing, or that another one follows.
		"   at Ns.A.M() in /var/task/f.cs:line 3":                                                    " ",
		"\tfrom /var/task/a.rb:1:in 'h'":                                                             " ",
		"System.Exception: a\nSystem.Other: b\n   at Ns.A.M()":                                       "csharp System.Exception=a\nSystem.Other: b[M@:0+]",
		"System.Exception: a\n   --- End of inner exception stack trace ---\n   at Ns.B.C(String s)": "csharp System.Exception=a[C@:0+]",
		"java.lang.E: a\n\tat a.B.c(B.java:1)\n\t... 3 more":                                         "java java.lang.E=a[c@B.java:1+]",
		"Error: a {\n  [errors]: [\n    at f (/var/task/a.js:1:2)":                                   "node Error=a {\n  [errors]: [[f@/var/task/a.js:1+]",
		// A goroutine that is cut off in front of another one.
		"panic: a\ngoroutine 1 [running]:\nmain.f(0x1)\ngoroutine 2 [select]:\n\t/x/o.go:1": "go panic=a[]",
		// A type that does not look like an error's, below its traceback.
		"Traceback (most recent call last):\n  File \"/var/task/a.py\", line 1, in f\n\nCustom: two": "python Custom=two[f@/var/task/a.py:1+]",
		"Traceback (most recent call last):\n  a line\nKeyError: 'k'":                                "python KeyError='k'[]",
		// Panics without a message, a note or a place.
		"thread 'main' panicked at src/main.rs:12:9:\nboom": "rust panic=boom[@src/main.rs:12+]",
		"thread 'main' panicked at ', src/main.rs:1:2":      "rust panic=[]",
		"thread 'main' panicked at src/main.rs:12:9:\nstack backtrace:\n   0: a::b\n  x: no frame\n   1: c::d\n      at ./c.rs:4:1\n   2: e::f": "rust panic=[e::f@:0- c::d@c.rs:4+ a::b@:0-]",
		`{"errorMessage":"x","errorType":"E","stackTrace":[]}`: "go E=x[]",
	} {
		if got := shape(ReadText(text).Trace); got != want {
			t.Errorf("%q\ngot  %q\nwant %q", text, got, want)
		}
	}
}

func TestPlacesAndNames(t *testing.T) {
	check := func(name string, got, want any) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	position := func(s string) string {
		path, row, column := cutPosition(s)
		return fmt.Sprint(path, " ", row, " ", column)
	}
	check("row and column", position("a:1:2"), "a 1 2")
	check("a row alone", position("a:5"), "a 5 0")
	check("a row of nothing", position("a:0:5"), "a:0 5 0")
	check("an empty path", position(":1:2"), " 1 2")
	check("a V8 location", nodeLocation("at a:1:2"), true)
	check("no V8 location", nodeLocation("at a:5"), false)
	frame, _ := nodeFrame("at  (/x.js:1:2)")
	check("a function without a name", frame.Path, "/x.js")
	check("a Go function of brackets", goFrame("(x)", "\t/a.go:1").Function, "(x)")
	check("a Go function", goFrame("main.f(0x1)", "\t/a.go:1").Function, "f")
	check("a Go package without a name", newGoFrame("a/.b", "", 1).Function, "b")
	module, name := rubyModule("::X")
	check("a Ruby constant", module+" "+name, " ::X")
	_, value, _ := phpError(" in a:3")
	check("PHP without a message", value, " in a:3")
	_, ok := pythonFrame(`File "x", line `)
	check("a Python frame without a number", ok, true)
	check("a panic's value", strings.Count(goValue("a", strings.Split(strings.Repeat("b\n", 40), "\n")), "\n"), 21)
	check("no frames", Trace{Exceptions: []Exception{{}}}.HasFrames(), false)
	check("frames", Trace{Exceptions: []Exception{{}, {Frames: []Frame{{}}}}}.HasFrames(), true)
	for record, want := range map[string]string{`{"AWSRequestId":"a"}`: "a", `{"requestId":"r","AWSRequestId":"a"}`: "r", `{}`: ""} {
		check(record, ReadLine(wire.Raw(record)).RequestID, want)
	}
}

func TestErrorObjects(t *testing.T) {
	object := func(text string, depth int) Trace {
		trace, _ := fromObject(wire.Object([]byte(text)), depth)
		return trace
	}
	for text, want := range map[string]string{
		`{"errorType":"<x>"}`:         " <x>",
		`{"errorType":"Function<x>"}`: " x",
		`{"errorType":"a.b.E"}`:       "a.b E",
		`{"errorType":"a.b.E","stack":["    at f (/var/task/a.js:1:2)"]}`:     " a.b.E",
		`{"errorType":"A::B::C","stackTrace":["/var/task/a.rb:3:in 'h'"]}`:    "A::B C",
		`{"errorType":"E","stack":"Error: x\n    at f (/var/task/a.js:1:2)"}`: " E f",
	} {
		last := object(text, 0).Last()
		got := last.Module + " " + last.Type
		if len(last.Frames) > 0 && strings.Contains(text, `"stack":"`) {
			got += " " + last.Frames[0].Function
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	// Causes and members are followed five levels deep.
	for depth, want := range map[int]int{4: 2, 5: 1} {
		for _, inner := range []string{`"cause":{"errorType":"B"}`, `"errors":["b"]`} {
			if got := object(`{"errorType":"A",`+inner+`}`, depth); len(got.Exceptions) != want {
				t.Errorf("%s at depth %d: %s", inner, depth, shape(got))
			}
		}
	}
	for count, want := range map[int]int{4: 4, 5: 4} {
		raw, err := json.Marshal(map[string]any{"errorType": "A", "errors": strings.Split(strings.Repeat("x", count), "")})
		if err != nil {
			t.Fatal(err)
		}
		if got := object(string(raw), 0); len(got.Exceptions) != want+1 {
			t.Errorf("%d members: %s", count, shape(got))
		}
	}
}

// The line of code that a Python frame shows is its first one; what marks the place is none.
func TestPythonFramesHaveTheirLine(t *testing.T) {
	traceback, _ := Parse("Traceback (most recent call last):\n  File \"/var/task/a.py\", line 1, in f\n    ^^^\n    x()\n    y()\nKeyError: 'k'")
	_, listed := framesFrom(wire.Raw(`["  File \"/var/task/a.py\", line 1, in f\n    x()\n    y()\n"]`))
	for _, frames := range [][]Frame{traceback.Last().Frames, listed} {
		if len(frames) != 1 || frames[0].Source != "x()" {
			t.Errorf("%+v", frames)
		}
	}
	if _, frames := framesFrom(wire.Raw(`["nothing","    at f (/var/task/a.js:1:2)","nothing"]`)); len(frames) != 1 || frames[0].Source != "" {
		t.Errorf("%+v", frames)
	}
}
