package stack

import "strings"

const rustHead = "panicked at "

// parseRust reads a panic: its place and message, then frames of two lines.
// Before 1.73 the message stood in quotes on the first line.
func parseRust(lines []string) (Trace, bool) {
	e := Exception{Type: "panic"}
	var place Frame
	headed := false
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		if !headed {
			_, rest, ok := strings.Cut(line, rustHead)
			if !ok || !strings.HasPrefix(line, "thread '") {
				continue
			}
			headed = true
			if strings.HasPrefix(rest, "'") {
				if end := strings.LastIndex(rest, "', "); end > 0 {
					e.Value, place = rest[1:end], rustFrame("", rest[end+3:])
				}
				continue
			}
			place = rustFrame("", strings.TrimSuffix(rest, ":"))
			for i+1 < len(lines) && !strings.HasPrefix(lines[i+1], "stack backtrace:") && !strings.HasPrefix(lines[i+1], "note: ") {
				i++
				e.Value = strings.TrimSpace(e.Value + "\n" + lines[i])
			}
			continue
		}
		number, function, ok := strings.Cut(line, ": ")
		if !ok || atoi(number) == 0 && number != "0" {
			continue
		}
		if at := ""; i+1 < len(lines) {
			if at, ok = strings.CutPrefix(strings.TrimSpace(lines[i+1]), "at "); ok {
				e.Frames = append(e.Frames, rustFrame(function, at))
				i++
				continue
			}
		}
		e.Frames = append(e.Frames, rustFrame(function, ""))
	}
	for i := len(e.Frames) - 1; i >= 0; i-- { // the panic's own machinery stands innermost
		if f := e.Frames[i].Function; strings.Contains(f, "core::panicking") || strings.Contains(f, "rust_begin_unwind") {
			e.Frames = e.Frames[i+1:]
			break
		}
	}
	if len(e.Frames) == 0 && place.Path != "" {
		e.Frames = []Frame{place}
	}
	e.Frames = reversed(e.Frames)
	return Trace{Language: Rust, Exceptions: []Exception{e}}, headed
}

func rustFrame(function, location string) Frame {
	path, row, column := cutPosition(strings.TrimSpace(location))
	own := path != "" && !strings.HasPrefix(path, "/rustc/") && !strings.Contains(path, "/.cargo/registry/")
	return Frame{Function: function, Path: strings.TrimPrefix(path, "./"), Line: row, Column: column, InApp: own}
}

// IsRustHead says that a line begins the report of a panic.
func IsRustHead(line string) bool {
	return strings.HasPrefix(line, "thread '") && strings.Contains(line, rustHead)
}
