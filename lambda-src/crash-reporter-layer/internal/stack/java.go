package stack

import "strings"

// parseJava reads printStackTrace: the thrown exception first, then each cause.
func parseJava(lines []string) (Trace, bool) {
	var found []Exception // frames innermost first until the end
	suppressed := false
	for i, line := range lines {
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(trimmed, "Suppressed: "):
			suppressed = true // not a cause: it would be a sibling, which Sentry's chain cannot show
		case strings.HasPrefix(trimmed, "Caused by: "):
			suppressed = strings.HasPrefix(line, "\t\t")
			if e, ok := javaHead(strings.TrimPrefix(trimmed, "Caused by: ")); ok && !suppressed {
				e.Value = withFollowing(e.Value, lines[i+1:])
				found = append(found, e)
			}
		case strings.HasPrefix(trimmed, "... ") && strings.HasSuffix(trimmed, " more"):
			if n := len(found); n > 1 && !suppressed {
				more := atoi(strings.TrimSuffix(trimmed[4:], " more"))
				found[n-1].Frames = append(found[n-1].Frames, lastOf(found[n-2].Frames, more)...)
			}
		case strings.HasPrefix(trimmed, "at "):
			if len(found) == 0 {
				found = append(found, javaHeadAbove(lines[:i]))
			}
			if frame, ok := javaFrame(trimmed); ok && !suppressed {
				found[len(found)-1].Frames = append(found[len(found)-1].Frames, frame)
			}
		}
	}
	for i := range found {
		found[i].Frames = reversed(found[i].Frames)
	}
	return Trace{Language: Java, Exceptions: reversed(found)}, len(found) > 0 && found[0].Type != ""
}

// lastOf restores what "... n more" leaves out: the frames shared with the enclosing trace.
func lastOf(frames []Frame, n int) []Frame {
	return frames[max(0, len(frames)-n):]
}

// javaHeadAbove looks upwards for the line that names the exception.
func javaHeadAbove(lines []string) Exception {
	for i := len(lines) - 1; i >= 0; i-- {
		if e, ok := javaHead(strings.TrimSpace(lines[i])); ok {
			e.Value = withFollowing(e.Value, lines[i+1:])
			return e
		}
	}
	return Exception{}
}

func withFollowing(value string, lines []string) string {
	for _, line := range lines {
		trimmed := strings.TrimSpace(line)
		if strings.HasPrefix(trimmed, "at ") || strings.HasPrefix(trimmed, "... ") || strings.HasPrefix(trimmed, "Caused by: ") {
			break
		}
		value += "\n" + line
	}
	return strings.TrimSpace(value)
}

func javaHead(line string) (Exception, bool) {
	if rest, ok := strings.CutPrefix(line, `Exception in thread "`); ok {
		_, line, _ = strings.Cut(rest, `" `)
	}
	typ, value, ok := splitHead(line)
	if !ok || !strings.Contains(typ, ".") {
		return Exception{}, false
	}
	module, name := splitModule(typ)
	return Exception{Type: name, Module: module, Value: value}, true
}

// javaFrame reads "at java.base/java.util.List.of(List.java:12)".
func javaFrame(line string) (Frame, bool) {
	line = strings.TrimPrefix(strings.TrimSpace(line), "at ")
	name, file, ok := strings.Cut(line, "(")
	if !ok {
		return Frame{}, false
	}
	file, _, _ = strings.Cut(file, ")")
	name = name[strings.LastIndexByte(name, '/')+1:]
	class, method, _ := cutLast(name, ".")
	file, row, _ := strings.Cut(file, ":")
	if strings.Contains(file, " ") { // Native Method, Unknown Source
		file = ""
	}
	return Frame{Function: method, Module: class, Path: file, Line: atoi(row), InApp: javaInApp(class)}, true
}

func javaInApp(class string) bool {
	for _, prefix := range []string{"java.", "javax.", "jdk.", "sun.", "com.sun.", "kotlin.", "kotlinx.", "scala.", "groovy.", "clojure.",
		"lambdainternal.", "com.amazonaws.", "software.amazon.", "org.springframework.", "io.micronaut.", "io.quarkus.", "jakarta.", "reactor."} {
		if strings.HasPrefix(class, prefix) {
			return false
		}
	}
	return true
}

// javaFrameLine says that an "at" line has the form only the JVM writes.
func javaFrameLine(line string) bool {
	name, file, ok := strings.Cut(strings.TrimPrefix(line, "at "), "(")
	if !ok || strings.ContainsAny(name, " `[") || !strings.Contains(name, ".") {
		return false
	}
	file, _, _ = strings.Cut(file, ")")
	if file == "Native Method" || file == "Unknown Source" {
		return true
	}
	base, _, _ := strings.Cut(file, ":")
	for _, ext := range []string{".java", ".kt", ".scala", ".groovy", ".clj"} {
		if strings.HasSuffix(base, ext) {
			return true
		}
	}
	return false
}
