package stack

import "strings"

// parseRuby reads the interpreter's report: "file:1:in 'm': message (Type)",
// then "\tfrom file:2:in 'n'".
func parseRuby(lines []string) (Trace, bool) {
	var e Exception
	for _, line := range lines {
		if rubyHead(line) && e.Type == "" {
			where, rest, _ := strings.Cut(line, ": ")
			open := strings.LastIndex(rest, " (")
			e.Type, e.Value = strings.Trim(rest[open+2:], "()"), rest[:open]
			if module, name := rubyModule(e.Type); module != "" {
				e.Module, e.Type = module, name
			}
			e.Frames = append(e.Frames, rubyFrame(where))
		} else if from, ok := strings.CutPrefix(line, "\tfrom "); ok {
			e.Frames = append(e.Frames, rubyFrame(from))
		}
	}
	e.Frames = reversed(e.Frames)
	return Trace{Language: Ruby, Exceptions: []Exception{e}}, e.Type != ""
}

func rubyHead(line string) bool {
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
