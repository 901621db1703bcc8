package stack

import (
	"sort"
	"strings"

	"cdk-serverless-blocks/crash-reporter/internal/wire"
)

// maxCauses bounds how deep a chain of causes in JSON is followed.
const maxCauses = 5

// fromObject reads the error objects that Lambda's runtimes log as JSON:
// errorType, errorMessage and a stack in the language's own form.
func fromObject(fields map[string]wire.Raw, depth int) (Trace, bool) {
	full := strings.TrimSpace(str(fields["errorType"]))
	message := str(fields["errorMessage"])
	if full == "" || len(full) > 200 {
		return Trace{}, false
	}
	if open := strings.IndexByte(full, '<'); open > 0 && strings.HasSuffix(full, ">") { // Ruby: Function<NoMethodError>
		full = full[open+1 : len(full)-1]
	}
	raw := fields["stackTrace"]
	if len(raw) == 0 || string(raw) == "null" {
		raw = fields["stack"]
	}
	if own := headOf(raw); own == "Runtime."+full || own == "Runtime."+strings.TrimSuffix(full, "Error") {
		full = own // the JSON format of Node.js names the class of Lambda's own errors, without their prefix
	}
	language, frames := framesFrom(raw)
	module, name := "", full
	if language != Node { // a Node.js error's name may hold dots, but has no package
		module, name = splitModule(strings.ReplaceAll(full, "::", "."))
	}
	if language == Ruby {
		module, name = rubyModule(full)
	}
	trace := Trace{Language: language, Exceptions: []Exception{{Type: name, Module: module, Value: message, Frames: frames, Code: scalar(fields["code"]), Properties: properties(fields)}}}
	for _, key := range []string{"cause", "reason"} {
		inner, ok := cause(fields[key], depth)
		if ok {
			trace.Exceptions = append(inner.Exceptions, trace.Exceptions...)
			if trace.Language == "" {
				trace.Language = inner.Language
			}
			break
		}
	}
	members, count := membersOf(fields["errors"], depth)
	return trace.WithMembers(members, count).bounded(), true
}

// membersOf reads what some libraries keep in an error's own property errors, as
// a list of errors or texts; Node.js itself does not show an AggregateError's.
func membersOf(raw wire.Raw, depth int) (members []Exception, count int) {
	list, ok := wire.Array(raw)
	if !ok || depth >= maxCauses {
		return nil, 0
	}
	for _, element := range list {
		count++
		member := Exception{Type: "Error", Value: str(element)}
		if fields := obj(element); fields != nil {
			if trace, ok := fromObject(fields, depth+1); ok {
				member = trace.Last()
			} else if member.Value = str(fields["message"]); member.Value == "" {
				continue
			} else if name := str(fields["name"]); isTypeName(name) {
				member.Type = name
			}
		}
		if member.Value != "" && len(members) < maxMembers {
			members = append(members, member)
		}
	}
	return members, count
}

const (
	maxProperties = 16
	maxProperty   = 200
)

var notProperties = map[string]bool{"errorType": true, "errorMessage": true, "stack": true, "stackTrace": true, "cause": true, "reason": true, "promise": true,
	"code": true, "message": true, "name": true, "level": true, "log_level": true, "timestamp": true, "requestId": true, "location": true}

// properties are an error object's own scalar ones and, of an AWS SDK's $metadata,
// what a failed call is looked up by.
func properties(fields map[string]wire.Raw) map[string]string {
	found := map[string]string{}
	for name, raw := range fields {
		if value := scalar(raw); value != "" && !notProperties[name] && len(name) <= 64 {
			found[name] = value
		}
	}
	metadata := obj(fields["$metadata"])
	for _, name := range []string{"httpStatusCode", "requestId"} {
		if value := scalar(metadata[name]); value != "" {
			found["$metadata."+name] = value
		}
	}
	if len(found) > maxProperties {
		names := make([]string, 0, len(found))
		for name := range found {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names[maxProperties:] {
			delete(found, name)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return found
}

// scalar is a text, a number or a boolean as text.
func scalar(raw wire.Raw) string {
	if len(raw) == 0 || raw[0] == '{' || raw[0] == '[' || string(raw) == "null" {
		return ""
	}
	if raw[0] == '"' {
		return Clip(str(raw), maxProperty)
	}
	return Clip(string(raw), maxProperty)
}

// headOf is the type in the first line of a stack that is a list of lines.
func headOf(raw wire.Raw) string {
	lines, _ := wire.Array(raw)
	if len(lines) == 0 {
		return ""
	}
	typ, _, _ := splitHead(str(lines[0]))
	return typ
}

func cause(raw wire.Raw, depth int) (Trace, bool) {
	if len(raw) == 0 || depth >= maxCauses {
		return Trace{}, false
	}
	if fields := obj(raw); fields != nil {
		return fromObject(fields, depth+1)
	}
	return Parse(str(raw))
}

// framesFrom reads a stack in whatever form it has: one text, a list of lines,
// or Go's list of {path, line, label}.
func framesFrom(raw wire.Raw) (string, []Frame) {
	lines, ok := wire.Array(raw)
	if !ok {
		if text := str(raw); text != "" {
			trace, _ := Parse(text)
			return trace.Language, trace.Last().Frames
		}
		return "", nil
	}
	var frames []Frame
	language := ""
	for _, line := range lines {
		if fields := obj(line); fields != nil {
			language = Go
			frames = append(frames, newGoFrame(str(fields["label"]), str(fields["path"]), atoi(string(fields["line"]))))
			continue
		}
		for _, text := range splitLines(str(line)) {
			frame, lang, ok := anyFrame(text)
			if ok && (language == "" || language == lang) {
				language = lang
				frames = append(frames, frame)
			} else if n := len(frames); language == Python && frames[n-1].Source == "" {
				frames[n-1].Source = strings.TrimSpace(text)
			}
		}
	}
	if language != Python { // only Python writes the outermost call first
		frames = reversed(frames)
	}
	return language, frames
}

func anyFrame(line string) (Frame, string, bool) {
	trimmed := strings.TrimSpace(line)
	if frame, ok := pythonFrame(trimmed); ok {
		return frame, Python, true
	}
	if strings.HasPrefix(trimmed, "at ") || javaFrameLine(trimmed) {
		switch {
		case nodeLocation(trimmed):
			frame, ok := nodeFrame(trimmed)
			return frame, Node, ok
		case javaFrameLine(trimmed):
			frame, ok := javaFrame(trimmed)
			return frame, Java, ok
		case strings.HasSuffix(trimmed, ")") || strings.Contains(trimmed, ":line "):
			return dotNetFrame(trimmed), DotNet, true
		}
	}
	if strings.Contains(trimmed, ":in ") {
		return rubyFrame(trimmed), Ruby, true
	}
	return Frame{}, "", false
}

func obj(raw wire.Raw) map[string]wire.Raw {
	return wire.Object(raw)
}

func str(raw wire.Raw) string {
	return wire.String(raw)
}
