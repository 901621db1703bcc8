package stack

import "strings"

// parsePython reads tracebacks: the interpreter's (error below the frames,
// causes first) and the Lambda runtime's (error above, prefixed by [ERROR]).
func parsePython(lines []string) (Trace, bool) {
	var found []Exception
	var frames []Frame
	var head, value []string // the error above the frames; lines of the error below them
	finish := func() {
		e := pythonError(head, value)
		if e.Type != "" || len(frames) > 0 {
			e.Frames = frames
			found = append(found, e)
		}
		head, value, frames = nil, nil, nil
	}
	inFrames := false
	for _, line := range lines {
		trimmed := strings.TrimSpace(line)
		frame, isFrame := pythonFrame(trimmed)
		switch {
		case strings.HasPrefix(trimmed, "Traceback (most recent call last)"):
			if inFrames {
				finish()
			}
			inFrames = true
		case isFrame:
			inFrames = true
			frames = append(frames, frame)
		case strings.HasPrefix(trimmed, "During handling of the above") || strings.HasPrefix(trimmed, "The above exception was"):
			finish()
			inFrames = false
		case !inFrames:
			head = append(head, line)
		case strings.HasPrefix(line, "  ") && len(value) == 0:
			if n := len(frames); n > 0 && frames[n-1].Source == "" && strings.Trim(trimmed, "^~ ") != "" {
				frames[n-1].Source = trimmed
			}
		case trimmed != "" || len(value) > 0:
			value = append(value, line)
		}
	}
	finish()
	for i := range found {
		if found[i].Type == "" {
			found[i].Type = "Exception"
		}
	}
	return Trace{Language: Python, Exceptions: found}, len(found) > 0
}

func pythonError(above, below []string) Exception {
	for _, lines := range [][]string{below, above} {
		for i, line := range lines {
			line = strings.TrimPrefix(strings.TrimSpace(line), "[ERROR] ")
			typ, value, ok := splitHead(line)
			if !ok || (!looksLikeError(typ) && i > 0) {
				continue
			}
			rest := append([]string{value}, lines[i+1:]...)
			module, name := splitModule(typ)
			return Exception{Type: name, Module: module, Value: strings.TrimSpace(strings.Join(rest, "\n"))}
		}
	}
	return Exception{}
}

// pythonFrame reads `File "x", line 3, in f`; a syntax error's element is `File "x" Line 3`.
func pythonFrame(line string) (Frame, bool) {
	rest, ok := strings.CutPrefix(line, `File "`)
	if !ok {
		return Frame{}, false
	}
	path, rest, ok := strings.Cut(rest, `"`)
	if !ok {
		return Frame{}, false
	}
	rest = strings.TrimLeft(rest, ", ")
	if len(rest) < 5 || !strings.EqualFold(rest[:5], "line ") {
		return Frame{}, false
	}
	row, function, _ := strings.Cut(rest[5:], ", in ")
	return Frame{Function: strings.TrimSpace(function), Path: path, Line: atoi(strings.TrimRight(row, ",")), InApp: inApp(path)}, true
}
