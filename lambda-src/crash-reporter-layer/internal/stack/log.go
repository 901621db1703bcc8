package stack

import (
	"bytes"
	"strings"

	"cdk-serverless-blocks/crash-reporter/internal/wire"
)

// Line is a function log record taken apart.
type Line struct {
	Text      string
	RequestID string
	Fields    map[string]wire.Raw // of a record in the JSON log format
}

// Finding is what a log text says about a crash.
type Finding struct {
	Trace
	// Runtime: Lambda's runtime itself (or the dying process) reported it, so the
	// invocation did fail. Otherwise it may be an error the function only logged.
	Runtime bool
	// OutOfMemory: the text has the words of a runtime that ran out of memory.
	OutOfMemory bool
	// Exit is how the process ended, as the platform words it: "signal: killed".
	Exit string
}

// Empty says that the text said nothing.
func (f Finding) Empty() bool { return len(f.Exceptions) == 0 && !f.OutOfMemory && f.Exit == "" }

// ReadLine takes a raw function record, a JSON string or a JSON object.
func ReadLine(raw wire.Raw) Line {
	raw = bytes.TrimSpace(raw)
	fields := obj(raw)
	if fields == nil {
		line := Line{Text: str(raw)}
		if columns := strings.SplitN(line.Text, "\t", 3); len(columns) == 3 && isRequestID(columns[1]) {
			line.RequestID = columns[1]
		}
		return line
	}
	line := Line{Fields: fields, RequestID: str(fields["requestId"])}
	if line.RequestID == "" {
		line.RequestID = str(fields["AWSRequestId"])
	}
	if line.Text = str(fields["message"]); line.Text == "" {
		line.Text = str(fields["msg"])
	}
	return line
}

func isRequestID(s string) bool { return len(s) == 36 && s[8] == '-' && s[13] == '-' }

// ReadFields reads a record in the JSON log format. The label that marks the
// runtime's own lines is lost there; the level and an error object are left.
func ReadFields(line Line) Finding {
	var f Finding
	if line.Fields == nil {
		return f
	}
	level := str(line.Fields["level"]) + str(line.Fields["log_level"])
	isError := strings.EqualFold(level, "ERROR") || strings.EqualFold(level, "FATAL") || strings.EqualFold(level, "CRITICAL")
	source := line.Fields
	if message := obj(line.Fields["message"]); message != nil {
		source = message
	}
	if trace, ok := fromObject(source, 0); ok && isError {
		f.Trace, f.Runtime = trace, true
		f.OutOfMemory = outOfMemory(trace.Last().FullType() + ": " + trace.Last().Value)
		return f
	}
	if line.Text != "" {
		f = ReadText(line.Text)
	}
	return f
}

// ReadText reads a log text, as the runtimes and the interpreters print it.
func ReadText(text string) Finding {
	f := Finding{OutOfMemory: outOfMemory(text), Exit: exitOf(text)}
	trace, runtime, ok := runtimeReport(text)
	if !ok {
		trace, ok = Parse(text)
	}
	if ok {
		f.Trace, f.Runtime = trace.bounded(), runtime
	}
	return f
}

// runtimeReport recognises the lines that only Lambda's runtimes, or a dying
// process, write.
func runtimeReport(text string) (Trace, bool, bool) {
	if trace, ok := nodeReport(text); ok {
		return trace, true, true
	}
	if rest, ok := strings.CutPrefix(text, "[ERROR] "); ok {
		first, _, _ := strings.Cut(strings.NewReplacer("\r", "\n").Replace(rest), "\n")
		typ, value, ok := splitHead(first)
		if !ok {
			return Trace{}, false, false
		}
		if trace, ok := Parse(text); ok {
			return trace, true, true
		}
		// Without a traceback it is the runtime's only if it names an error: a
		// function may print lines that begin alike.
		if !looksLikeError(typ) && !strings.HasPrefix(typ, "Runtime.") {
			return Trace{}, false, false
		}
		module, name := splitModule(typ)
		return Trace{Language: Python, Exceptions: []Exception{{Type: name, Module: module, Value: value}}}, true, true
	}
	for _, label := range []string{"Error raised from handler method", "Critical exception from handler", "Init error when loading handler"} {
		if strings.HasPrefix(text, label) {
			return jsonReport(text, Ruby)
		}
	}
	if strings.Contains(text, `"errorMessage"`) && isGoLog(text) {
		return jsonReport(text, Go)
	}
	trace, ok := Parse(text)
	return trace, ok && dying(text, trace), ok
}

// nodeReport reads "time\trequest\tERROR\tlabel \t{json}".
func nodeReport(text string) (Trace, bool) {
	columns := strings.SplitN(text, "\t", 5)
	if len(columns) < 5 || columns[2] != "ERROR" {
		return Trace{}, false
	}
	switch strings.TrimSpace(columns[3]) {
	case "Uncaught Exception", "Unhandled Promise Rejection", "Invoke Error",
		"Init Error": // of version 4 of the client
	default:
		return Trace{}, false
	}
	trace, ok := fromObject(obj([]byte(strings.TrimSpace(columns[4]))), 0)
	if !ok { // cut, or joined by \r: at least the type and the message are at the front
		trace, ok = fromPrefix(columns[4])
	}
	trace.Language = Node
	return trace, ok
}

// fromPrefix reads type and message from a JSON object whose end is missing.
func fromPrefix(text string) (Trace, bool) {
	field := func(name string) string {
		_, rest, ok := strings.Cut(text, `"`+name+`":`)
		if !ok {
			return ""
		}
		s, _ := wire.Prefix([]byte(rest))
		return s
	}
	e := Exception{Type: field("errorType"), Value: field("errorMessage")}
	return Trace{Exceptions: []Exception{e}}, e.Type != ""
}

func jsonReport(text, language string) (Trace, bool, bool) {
	open, end := strings.IndexByte(text, '{'), strings.LastIndexByte(text, '}')
	if open < 0 || end < open {
		return Trace{}, false, false
	}
	trace, ok := fromObject(obj([]byte(text[open:end+1])), 0)
	if !ok {
		trace, ok = fromPrefix(text[open:])
	}
	trace.Language = language
	return trace, true, ok
}

// isGoLog: the Go library logs the bare object, after log.Printf's date at most.
func isGoLog(text string) bool {
	text = strings.TrimSpace(text)
	open := strings.IndexByte(text, '{')
	return open == 0 || (open == 20 && text[4] == '/' && text[7] == '/')
}

// dying says that a trace has a form that is printed for a failed
// invocation or by a process about to end, not by code that handled the error.
func dying(text string, trace Trace) bool {
	switch trace.Language {
	case Go, Rust, PHP:
		return true
	case Java:
		if strings.HasPrefix(text, `Exception in thread "`) || strings.HasPrefix(text, "Error loading class ") || strings.HasPrefix(text, "Class not found: ") {
			return true
		}
		// The runtime prints "message: class" above the trace that begins with the class.
		first, rest, _ := strings.Cut(text, "\n")
		return strings.HasSuffix(strings.TrimSpace(first), ": "+trace.Last().FullType()) && strings.HasPrefix(rest, trace.Last().FullType())
	case DotNet:
		columns := strings.SplitN(text, "\t", 4)
		return strings.HasPrefix(text, "Unhandled exception.") ||
			(len(columns) == 4 && columns[2] == "fail" && strings.HasPrefix(columns[3], trace.Last().FullType()))
	case Node:
		return strings.Contains(text, "\nNode.js v")
	}
	return false
}

func outOfMemory(text string) bool {
	for _, marker := range []string{"JavaScript heap out of memory", "java.lang.OutOfMemoryError", "failed to allocate memory (NoMemoryError)",
		"OutOfMemoryException", "fatal error: runtime: out of memory", "Runtime.OutOfMemory"} {
		if strings.Contains(text, marker) {
			return true
		}
	}
	// Python prints only the name; as part of another word it means nothing.
	return strings.HasPrefix(text, "MemoryError") || strings.Contains(text, "[ERROR] MemoryError") || strings.Contains(text, "\nMemoryError")
}

// exitOf finds the platform's words for the end of a process.
func exitOf(text string) string {
	for _, words := range []string{"Runtime exited with error: ", "Error: Runtime exited "} {
		if _, rest, ok := strings.Cut(text, words); ok {
			end, _, _ := strings.Cut(rest, "\n")
			return Clip(strings.TrimSpace(end), 80)
		}
	}
	return ""
}
