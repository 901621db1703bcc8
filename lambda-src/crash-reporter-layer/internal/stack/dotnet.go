package stack

import "strings"

// parseDotNet reads Exception.ToString(): heads outermost first, joined by
// "--->", then the frames innermost exception first.
func parseDotNet(lines []string) (Trace, bool) {
	var open, done []Exception // open: heads whose frames have not all been read
	for _, line := range lines {
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(trimmed, "--- End of inner exception"):
			if n := len(open); n > 1 {
				done, open = append(done, open[n-1]), open[:n-1]
			}
		case strings.HasPrefix(trimmed, "at "):
			if n := len(open); n > 0 {
				open[n-1].Frames = append(open[n-1].Frames, dotNetFrame(trimmed))
			}
		case strings.HasPrefix(trimmed, "--- End of stack trace"):
		default:
			open = addHeads(open, trimmed)
		}
	}
	for n := len(open); n > 0; n-- {
		done = append(done, open[n-1])
	}
	for i := range done {
		done[i].Frames = reversed(done[i].Frames)
	}
	return Trace{Language: DotNet, Exceptions: done}, len(done) > 0
}

func addHeads(open []Exception, line string) []Exception {
	// Columns of a log line (time, request id, level) stand before the first head.
	line = line[strings.LastIndexByte(line, '\t')+1:]
	line = strings.TrimPrefix(line, "Unhandled exception. ")
	for i, part := range strings.Split(line, "---> ") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		typ, value, ok := splitHead(part)
		inner := i > 0 || strings.HasPrefix(line, "---> ")
		switch {
		case ok && strings.Contains(typ, ".") && (len(open) == 0 || inner):
			module, name := splitModule(typ)
			open = append(open, Exception{Type: name, Module: module, Value: value})
		case len(open) > 0 && len(open[len(open)-1].Frames) == 0:
			open[len(open)-1].Value += "\n" + part
		}
	}
	return open
}

// dotNetFrame reads "at Ns.Type.Method(String s) in /var/task/F.cs:line 12".
func dotNetFrame(line string) Frame {
	line = strings.TrimPrefix(line, "at ")
	call, place, _ := strings.Cut(line, " in ")
	path, row, _ := cutLast(place, ":line ")
	name, _, _ := strings.Cut(call, "(")
	class, method, _ := cutLast(name, ".")
	if strings.HasSuffix(class, ".") { // a constructor: "Type..ctor"
		class, method = strings.TrimSuffix(class, "."), "."+method
	}
	app := true
	for _, prefix := range []string{"System.", "Microsoft.", "Amazon.", "lambda_method", "Bootstrap.", "Internal."} {
		app = app && !strings.HasPrefix(name, prefix)
	}
	return Frame{Function: method, Module: class, Path: path, Line: atoi(row), InApp: app}
}
