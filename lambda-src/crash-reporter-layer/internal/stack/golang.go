package stack

import "strings"

// parseGo reads a panic or fatal error of the Go runtime and the goroutine that caused it.
func parseGo(lines []string) (Trace, bool) {
	e := Exception{}
	function := ""
	goroutines := 0
	for i, line := range lines {
		switch {
		case e.Type == "" && strings.HasPrefix(line, "panic: "):
			e.Type, e.Value = "panic", goValue(line[7:], lines[i+1:])
		case e.Type == "" && strings.HasPrefix(line, "fatal error: "):
			e.Type, e.Value = "fatal error", line[13:]
		case strings.HasPrefix(line, "goroutine ") && strings.HasSuffix(line, "]:"):
			goroutines++
		case goroutines > 1:
			// The first goroutine is the one that panicked.
		case strings.HasPrefix(line, "\t") && function != "":
			e.Frames = append(e.Frames, goFrame(function, line))
			function = ""
		case goroutines == 1 && !strings.HasPrefix(line, "["):
			function = line
		}
	}
	if e.Type == "" && goroutines > 0 {
		e.Type = "panic"
	}
	e.Frames = reversed(e.Frames)
	return Trace{Language: Go, Exceptions: []Exception{e}}, e.Type != ""
}

// goValue adds what a multi-line panic value or a re-panic prints before the goroutines.
func goValue(first string, lines []string) string {
	value := first
	for i, line := range lines {
		if i > 20 || strings.HasPrefix(line, "goroutine ") {
			break
		}
		if strings.TrimSpace(line) != "" {
			value += "\n" + strings.TrimSpace(line)
		}
	}
	return value
}

func goFrame(function, location string) Frame {
	function = strings.TrimPrefix(function, "created by ")
	function, _, _ = strings.Cut(function, " in goroutine ")
	if open := strings.LastIndexByte(function, '('); open > 0 && strings.HasSuffix(function, ")") {
		function = function[:open]
	}
	location, _, _ = strings.Cut(strings.TrimSpace(location), " +0x")
	path, row, _ := cutLast(location, ":")
	return newGoFrame(function, path, atoi(row))
}

func newGoFrame(function, path string, row int) Frame {
	module, name := function, function
	slash := strings.LastIndexByte(function, '/')
	if dot := strings.IndexByte(function[slash+1:], '.'); dot >= 0 {
		module, name = function[:slash+1+dot], function[slash+dot+2:]
	}
	return Frame{Function: name, Module: module, Path: path, Line: row, InApp: goInApp(module, path)}
}

// goInApp: a standard library package has no dot in its first path element.
func goInApp(module, path string) bool {
	if module == "main" {
		return true
	}
	first, _, _ := strings.Cut(module, "/")
	if strings.HasPrefix(module, "github.com/aws/") || strings.Contains(path, "@") || strings.Contains(path, "/usr/local/go/") || strings.Contains(path, "/go/src/") {
		return false
	}
	return strings.Contains(first, ".")
}
