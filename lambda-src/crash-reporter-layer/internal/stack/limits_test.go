package stack

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"cdk-serverless-blocks/crash-reporter/internal/wire"
)

// Each limit from both sides: otherwise nobody would see it change.
func TestLimits(t *testing.T) {
	of := func(n int, one func(i int) string) (list []string) {
		for i := range n {
			list = append(list, one(i))
		}
		return list
	}
	object := func(fields map[string]any) Trace {
		raw, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		trace, _ := fromObject(wire.Object(raw), 0)
		return trace
	}
	check := func(name string, got, want any) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	type m = map[string]any
	for name, want := range map[int]int{4096: 4096, 4097: 4096} {
		got := object(m{"errorType": "Error", "errorMessage": strings.Repeat("v", name)}).Exceptions[0].Value
		check(fmt.Sprint("a value of ", name), len(got), want)
		check("it ends with dots", strings.HasSuffix(got, "..."), name > want)
	}
	for name, want := range map[int]bool{200: true, 201: false} {
		check(fmt.Sprint("a type of ", name), len(object(m{"errorType": strings.Repeat("E", name), "errorMessage": "x"}).Exceptions) == 1, want)
		check(fmt.Sprint("a name of ", name), isTypeName(strings.Repeat("E", name)), want)
	}
	for length, want := range map[int]int{512: 512, 513: 512} {
		trace := Trace{Exceptions: []Exception{{Type: "E", Frames: []Frame{{Function: strings.Repeat("f", length)}}}}}.bounded()
		check(fmt.Sprint("a function's name of ", length), len(trace.Exceptions[0].Frames[0].Function), want)
	}
	for count, want := range map[int]int{8: 8, 9: 8} {
		trace := Trace{Exceptions: make([]Exception, count)}.bounded()
		check(fmt.Sprint(count, " exceptions"), len(trace.Exceptions), want)
	}
	for count, want := range map[int]int{60: 60, 61: 60} {
		trace := Trace{Exceptions: []Exception{{Frames: make([]Frame, count)}}}.bounded()
		check(fmt.Sprint(count, " frames"), len(trace.Exceptions[0].Frames), want)
	}
	for count, want := range map[int]int{16: 16, 17: 16} {
		fields := m{"errorType": "Error", "errorMessage": "x"}
		for _, name := range of(count, func(i int) string { return fmt.Sprint("p", i) }) {
			fields[name] = "v"
		}
		check(fmt.Sprint(count, " properties"), len(object(fields).Exceptions[0].Properties), want)
	}
	for length, want := range map[int]int{64: 1, 65: 0} {
		check(fmt.Sprint("a property's name of ", length), len(object(m{"errorType": "Error", "errorMessage": "x", strings.Repeat("p", length): "v"}).Exceptions[0].Properties), want)
	}
	for length, want := range map[int]int{200: 200, 201: 200} {
		check(fmt.Sprint("a property of ", length), len(object(m{"errorType": "Error", "errorMessage": "x", "p": strings.Repeat("v", length)}).Exceptions[0].Properties["p"]), want)
	}
	for text, want := range map[string]int{"1073741824": 1 << 30, "1073741825": 0, "-1": 0, "1": 1} {
		check(text, atoi(text), want)
	}
	for name, want := range map[string]bool{
		"0a": false, "9a": false, "a0": true, "a9": true, "A": true, "Z": true, "a": true, "z": true, "_": true, "a.b": true, "$": true,
		"`": true, "a+b": true, "a<b>": true, "é": true, "a/b": false, "a:b": false, "a@b": false, "a[b": false, "a{b": false, "a\x7f": false, "a\u0080": true, "": false,
	} {
		check(name, isTypeName(name), want)
	}
	for full, want := range map[string]string{".a": " .a", "a.": " a.", "a.b": "a b", "Runtime.X": " Runtime.X"} {
		module, typ := splitModule(full)
		check(full, module+" "+typ, want)
	}
}
