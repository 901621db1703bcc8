package stack

import "strings"

// parseNode reads V8 stack traces, with the "[cause]:" and "[errors]: [" sections
// that util.inspect adds. The thrown error comes first in the text, its causes and members after.
func parseNode(lines []string) (Trace, bool) {
	var found, members []Exception
	inErrors := false
	for start := 0; ; {
		first := nextAt(lines, start)
		if first < 0 {
			break
		}
		e := nodeHead(lines[start:first])
		end := first
		for end < len(lines) && strings.HasPrefix(strings.TrimSpace(lines[end]), "at ") {
			if frame, ok := nodeFrame(lines[end]); ok {
				e.Frames = append(e.Frames, frame)
			}
			end++
		}
		e.Frames = reversed(e.Frames)
		head := lines[start:first]
		inErrors = inErrors && !hasLine(head, func(line string) bool { return line == "]" || line == "]," })
		inErrors = inErrors || hasLine(head, func(line string) bool { return strings.HasPrefix(line, "[errors]: [") })
		switch {
		case inErrors && len(found) > 0:
			if !isCause(head) { // a member's own cause
				members = append(members, e)
			}
		case len(found) == 0 || isCause(head):
			found = append(found, e)
		}
		start = end
	}
	trace := Trace{Language: Node, Exceptions: reversed(found)}
	return trace.WithMembers(members, len(members)), len(found) > 0 && found[0].Type != ""
}

func hasLine(lines []string, is func(trimmed string) bool) bool {
	for _, line := range lines {
		if is(strings.TrimSpace(line)) {
			return true
		}
	}
	return false
}

func nextAt(lines []string, from int) int {
	for i := from; i < len(lines); i++ {
		if strings.HasPrefix(strings.TrimSpace(lines[i]), "at ") {
			return i
		}
	}
	return -1
}

func isCause(head []string) bool {
	for _, line := range head {
		if strings.Contains(line, "[cause]:") {
			return true
		}
	}
	return false
}

// nodeHead finds "Type: message" above the frames. The message may have
// several lines; what stands before a blank line is a source excerpt.
func nodeHead(head []string) Exception {
	for i := len(head) - 1; i >= 0; i-- {
		if strings.TrimSpace(head[i]) == "" {
			head = head[i+1:]
			break
		}
	}
	for i, line := range head {
		line = strings.TrimSpace(line)
		if _, after, ok := strings.Cut(line, "[cause]: "); ok {
			line = after
		}
		line = strings.TrimPrefix(line, "Uncaught ")
		// A log line's own columns may stand before the error.
		line = line[strings.LastIndexByte(line, '\t')+1:]
		if typ, value, ok := splitHead(line); ok && (looksLikeError(typ) || i == len(head)-1) {
			rest := append([]string{value}, head[i+1:]...)
			return Exception{Type: typ, Value: strings.TrimSpace(strings.Join(rest, "\n"))}
		}
	}
	return Exception{}
}

func nodeFrame(line string) (Frame, bool) {
	line = strings.TrimSpace(line)
	line, ok := strings.CutPrefix(line, "at ")
	if !ok {
		return Frame{}, false
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, ","), " {") // util.inspect opens the properties here, or the next member follows
	line = strings.TrimPrefix(line, "async ")
	function, location := "", line
	if open := strings.LastIndex(line, " ("); open >= 0 && strings.HasSuffix(line, ")") {
		function, location = line[:open], line[open+2:len(line)-1]
	}
	path, row, column := cutPosition(location)
	path = strings.TrimPrefix(path, "file://")
	return Frame{Function: function, Path: path, Line: row, Column: column, InApp: inApp(path)}, true
}

// cutPosition takes "path:row:column" apart from the right.
func cutPosition(location string) (path string, row, column int) {
	rest, last, ok := cutLast(location, ":")
	if !ok || atoi(last) == 0 {
		return location, 0, 0
	}
	if path, middle, ok := cutLast(rest, ":"); ok && atoi(middle) > 0 {
		return path, atoi(middle), atoi(last)
	}
	return rest, atoi(last), 0
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// nodeLocation says that an "at" line ends as only V8 writes it.
func nodeLocation(line string) bool {
	line = strings.TrimSuffix(strings.TrimSuffix(line, " {"), ")")
	if strings.HasSuffix(line, "(<anonymous>") || strings.HasSuffix(line, "(native") || strings.HasSuffix(line, "(index 0") {
		return true
	}
	_, _, column := cutPosition(line)
	return column > 0
}
