package stack

import "strings"

const phpHead = "Fatal error:"

// parsePHP reads "PHP Fatal error:  Uncaught Type: message in file:line", its
// frames innermost first, and errors without an exception ("… on line 3").
func parsePHP(lines []string) (Trace, bool) {
	var e Exception
	var place Frame
	for _, line := range lines {
		trimmed := strings.TrimSpace(line)
		if _, rest, ok := strings.Cut(trimmed, phpHead); ok && e.Type == "" {
			e.Type, e.Value, place = phpError(strings.TrimSpace(rest))
			continue
		}
		if !strings.HasPrefix(trimmed, "#") {
			continue
		}
		_, rest, ok := strings.Cut(trimmed, " ")
		if !ok || rest == "{main}" {
			continue
		}
		where, function, _ := strings.Cut(rest, ": ")
		path, row, _ := strings.Cut(strings.TrimSuffix(where, ")"), "(")
		function, _, _ = strings.Cut(function, "(")
		e.Frames = append(e.Frames, Frame{Function: function, Path: path, Line: atoi(row), InApp: inApp(path)})
	}
	if place.Path != "" { // a frame says who called whom: where it broke stands in the head
		calls := e.Frames
		e.Frames = []Frame{place}
		for i, call := range calls {
			e.Frames[i].Function = call.Function
			call.Function = ""
			e.Frames = append(e.Frames, call)
		}
	}
	e.Frames = reversed(e.Frames)
	return Trace{Language: PHP, Exceptions: []Exception{e}}, e.Type != ""
}

func phpError(text string) (typ, value string, place Frame) {
	text, uncaught := strings.CutPrefix(text, "Uncaught ")
	if at := strings.LastIndex(text, " in "); at > 0 {
		where := text[at+4:]
		text = text[:at]
		if path, row, ok := strings.Cut(where, " on line "); ok {
			place = Frame{Path: path, Line: atoi(row), InApp: inApp(path)}
		} else {
			path, row, _ := cutPosition(where)
			place = Frame{Path: path, Line: row, InApp: inApp(path)}
		}
	}
	if typ, value, ok := splitHead(text); ok && uncaught {
		return typ, value, place
	}
	return "Fatal error", text, place
}
