package stack

import "strings"

// parseRuby reads the interpreter's report: "file:1:in 'm': message (Type)",
// then "\tfrom file:2:in 'n'"; the error comes first, its causes after, each
// with a head of its own.
func parseRuby(lines []string) (Trace, bool) {
	var found []Exception
	for _, line := range lines {
		if IsRubyHead(line) {
			found = append(found, rubyException(line))
		} else if from, ok := strings.CutPrefix(line, "\tfrom "); ok && len(found) > 0 {
			last := &found[len(found)-1]
			last.Frames = append(last.Frames, rubyFrame(from))
		}
	}
	for i := range found {
		found[i].Frames = reversed(found[i].Frames)
	}
	return Trace{Language: Ruby, Exceptions: reversed(found)}, len(found) > 0
}

func rubyException(head string) Exception {
	where, rest, _ := strings.Cut(head, ": ")
	open := strings.LastIndex(rest, " (")
	e := Exception{Type: strings.Trim(rest[open+2:], "()"), Value: rest[:open], Frames: []Frame{rubyFrame(where)}}
	e.Module, e.Type = rubyModule(e.Type)
	return e
}

// IsRubyHead says that a line begins the report of an error, or of its cause.
func IsRubyHead(line string) bool {
	where, rest, ok := strings.Cut(line, ": ")
	return ok && strings.Contains(where, ":in ") && strings.Contains(rest, " (") && strings.HasSuffix(rest, ")")
}

func rubyModule(full string) (module, name string) {
	if i := strings.LastIndex(full, "::"); i > 0 {
		return full[:i], full[i+2:]
	}
	return "", full
}

// rubyFrame reads "/var/task/app.rb:3:in 'Object#handler'".
func rubyFrame(line string) Frame {
	where, function, _ := strings.Cut(strings.TrimSpace(line), ":in ")
	path, row, _ := cutLast(where, ":")
	return Frame{Function: strings.Trim(function, "`'"), Path: path, Line: atoi(row), InApp: inApp(path)}
}
