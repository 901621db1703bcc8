package source

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/stack"
)

func textReader(text string) *bufio.Reader { return bufio.NewReaderSize(strings.NewReader(text), 16) }

// Each limit from both sides: otherwise nobody would see it change.
func TestLimits(t *testing.T) {
	dir := t.TempDir()
	list := func(name string, count, line int) (frames []stack.Frame) {
		for range count {
			frames = append(frames, stack.Frame{Path: "/var/task/" + name, Line: line, Column: 1})
		}
		return frames
	}
	own := func(language string, frames []stack.Frame) []stack.Frame {
		trace := []stack.Exception{{Frames: frames}}
		Open(dir).Enrich(trace, language, time.Minute)
		return trace[0].Frames
	}
	rows := ""
	for i := 1; i <= 30; i++ {
		rows += fmt.Sprint("row ", i, "\n")
	}
	write(t, dir, "a.py", rows)
	for language, want := range map[string]string{stack.Python: "row 15", stack.Ruby: "row 15", stack.Node: "row 15", stack.PHP: ""} {
		frame := own(language, list("a.py", 1, 15))[0]
		if frame.Source != want || want != "" && (fmt.Sprint(frame.Pre) != "[row 10 row 11 row 12 row 13 row 14]" || fmt.Sprint(frame.Post) != "[row 16 row 17 row 18 row 19 row 20]") {
			t.Errorf("%s: %+v", language, frame)
		}
	}
	if frames := own(stack.Python, list("a.py", 13, 1)); frames[0].Source != "" || frames[1].Source == "" {
		t.Errorf("more or fewer than twelve frames: %+v", frames)
	}
	if _, ok := Open(dir).name(list("a.py", 1, 0)[0]); ok {
		t.Error("a frame without a line")
	}
	for length, want := range map[int]bool{511: true, 512: false} {
		write(t, dir, "long.py", strings.Repeat("x", length)+"\n")
		if got := own(stack.Python, list("long.py", 1, 1))[0].Source; (got != "") != want {
			t.Errorf("a line of %d: %d bytes", length, len(got))
		}
	}
	const id = "85314830-023f-4cf1-a267-535f4e37bb17"
	for text, want := range map[string]bool{
		"//# debugId=" + id: true,
		"//# debugId=" + id + strings.Repeat("\n", 4<<10-48):                                  true,
		"//# debugId=" + id + strings.Repeat("\n", 4<<10-47):                                  false,
		strings.Repeat("\n", 4<<10-48) + "sentry-dbid-" + id + " " + rows:                     true,
		strings.Repeat("\n", 4<<10-47) + "sentry-dbid-" + id + " " + strings.Repeat(rows, 20): false,
	} {
		write(t, dir, "id.js", text)
		file, err := Open(dir).open("id.js", &budget{until: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		if got := debugID(file); (got == id) != want {
			t.Errorf("a file of %d bytes: %q", len(text), got)
		}
		if _, err := file.Read(make([]byte, 1)); !errors.Is(err, errLimit) {
			t.Errorf("read without a budget: %v", err)
		}
		file.Close()
	}
	for length, want := range map[int]bool{1<<10 - 1: true, 1 << 10: false} {
		if _, err := shortString(textReader(`"` + strings.Repeat("x", length) + `"`)); (err == nil) != want {
			t.Errorf("a name of %d: %v", length, err)
		}
	}
	if got := len(clip(strings.Repeat("x", 300))); got != 256 {
		t.Errorf("a line of context has %d bytes", got)
	}
	for depth, want := range map[int]bool{16: true, 17: false} {
		if err := skipValue(textReader(strings.Repeat("[", depth)+strings.Repeat("]", depth)), 0); (err == nil) != want {
			t.Errorf("%d levels: %v", depth, err)
		}
	}
	for mappings, want := range map[string]bool{`A"`: true, `AA"`: false, `AAA"`: false, `AAAA"`: true, `AAAAA"`: true, `AAAAAA"`: false, `ggggggA"`: true, `gggggggA"`: false} {
		if err := decode(textReader(mappings), nil); (err == nil) != want {
			t.Errorf("mappings %s: %v", mappings, err)
		}
	}
	files := Open(dir)
	for i := range 64 {
		files.places[place{"f", i, 1}] = nil
	}
	files.look("f", nil, nil, func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(`{"mappings":""}`)), nil
	})
	if len(files.places) != 64 {
		t.Errorf("%d places are kept", len(files.places))
	}
}

func TestWhereAMapCanBe(t *testing.T) {
	const text = `{"sources":["a.ts"],"names":["author"],"mappings":"AAAAA"}`
	inline := "//# sourceMappingURL=data:;base64," + base64.StdEncoding.EncodeToString([]byte(text))
	for name, c := range map[string]struct{ js, file, text string }{
		"beside":                          {"code();\n", "f.js.map", text},
		"named on the first line":         {"//# sourceMappingURL=other.map", "other.map", text},
		"behind a line against inclusion": {"code();\n", "f.js.map", ")]}'\n" + text},
		"within, on the first line":       {inline, "none", ""},
		"within, after 64 KiB":            {strings.Repeat("code();\n", 9<<10) + inline, "none", ""},
		"of many members":                 {"code();\n", "f.js.map", `{"a":[[1],{"b":2}],"c":12 ,"d":"` + strings.Repeat(`\\\"`, 9) + `",` + text[1:]},
	} {
		dir := t.TempDir()
		write(t, dir, "f.js", c.js)
		write(t, dir, c.file, c.text)
		trace, _ := enrich(t, dir, []stack.Frame{{Path: "/var/task/f.js", Line: 1, Column: 1}, {Function: "n", Path: "/var/task/f.js", Line: 1, Column: 1}})
		outer, inner := trace[0].Frames[0], trace[0].Frames[1]
		if !outer.Mapped || outer.Path != "/var/task/a.ts" || inner.Function != "author" {
			t.Errorf("%s: %+v %+v", name, outer, inner)
		}
	}
}

// A string is read over the border of the reader's buffer, which is 16 bytes here.
func TestAStringEndsAtItsQuote(t *testing.T) {
	for _, text := range []string{`abc"`, `\"x"`, `x\\"`, strings.Repeat("x", 15) + `\"y"`, strings.Repeat("x", 16) + `"`, strings.Repeat("x", 14) + `\\"`, strings.Repeat(`\\`, 20) + `"`} {
		r := textReader(text + "rest")
		if err := skipString(r); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if rest, _ := io.ReadAll(r); string(rest) != "rest" {
			t.Errorf("%s: left %q", text, rest)
		}
	}
	for _, text := range []string{"abc", `x\`, strings.Repeat("x", 15) + `\`} {
		if err := skipString(textReader(text)); err != io.ErrUnexpectedEOF {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"[1", "[[1]", "1"} {
		if err := skipValue(textReader(text), 0); err != io.ErrUnexpectedEOF {
			t.Errorf("%s: %v", text, err)
		}
	}
}
