package source

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/stack"
)

// What esbuild 0.28 made of testdata/src, and what Node.js 22 said when it failed.
func frames(places ...int) (list []stack.Frame) {
	names := []string{"y", "s.pay", "m"}
	for i := 0; i+1 < len(places); i += 2 {
		list = append(list, stack.Frame{Function: names[i/2], Path: "/var/task/index.js", Line: places[i], Column: places[i+1], InApp: true})
	}
	return list
}

func enrich(t *testing.T, dir string, list []stack.Frame) ([]stack.Exception, []stack.DebugImage) {
	t.Helper()
	files := Open(dir)
	if files == nil {
		t.Fatalf("%s cannot be opened", dir)
	}
	trace := []stack.Exception{{Type: "TypeError", Frames: list}}
	return trace, files.Enrich(trace, stack.Node, 10*time.Second)
}

func told(list []stack.Frame) string {
	var lines []string
	for _, f := range list {
		lines = append(lines, fmt.Sprintf("%s %s:%d:%d", f.Function, strings.TrimPrefix(f.Path, "/var/task/"), f.Line, f.Column))
	}
	return strings.Join(lines, ", ")
}

const authors = "y src/handler.ts:5:19, s.pay src/order.ts:15:28, total src/order.ts:9:16"

func TestMinifiedCodeShowsTheAuthorsLines(t *testing.T) {
	for _, dir := range []string{"beside", "inline"} {
		trace, _ := enrich(t, "testdata/"+dir, frames(1, 631, 1, 599, 1, 505))
		e := trace[0]
		if got := told(e.Frames); got != authors {
			t.Errorf("%s: %s", dir, got)
		}
		last := e.Frames[2]
		if last.Source != "  return items.reduce((sum, item) => sum + item.price, 0) + label.length * 0;" || len(last.Pre) != 5 || len(last.Post) != 5 ||
			last.Pre[4] != "  const label = '🎂🎂'; const items = order.items!;" || last.Post[2] != "export class Checkout {" {
			t.Errorf("%s: %+v", dir, last)
		}
		if !strings.Contains(strings.Join(last.Pre, "\n"), "a “quote”, a tab\\t and an emoji 🎂") {
			t.Errorf("%s: %q", dir, last.Pre)
		}
		if !last.Mapped || last.RawFunction != "m" || len(e.RawFrames) != 3 || e.RawFrames[2].Path != "/var/task/index.js" {
			t.Errorf("%s: %+v, raw %+v", dir, last, e.RawFrames)
		}
	}
}

func TestAMapWithoutTheSourcesGivesThePlace(t *testing.T) {
	trace, _ := enrich(t, "testdata/plain", frames(43, 19, 36, 28, 31, 16))
	if last := trace[0].Frames[2]; told(trace[0].Frames[2:]) != "total src/order.ts:9:16" && last.Path != "/var/task/src/order.ts" || last.Source != "" {
		t.Errorf("%s %q", told(trace[0].Frames), last.Source)
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyRegularFilesOfTheFunctionAreRead(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	write(t, outside, "secret.js", "one\ntwo\n")
	if err := os.Symlink(filepath.Join(outside, "secret.js"), filepath.Join(dir, "link.js")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.js"), 0o600); err != nil {
		t.Fatal(err)
	}
	list := []stack.Frame{}
	for _, name := range []string{"link.js", "pipe.js", "../" + filepath.Base(outside) + "/secret.js", "", ".", "missing.js"} {
		list = append(list, stack.Frame{Path: "/var/task/" + name, Line: 1, Column: 1})
	}
	list = append(list, stack.Frame{Path: "/proc/self/environ", Line: 1, Column: 1}, stack.Frame{Path: filepath.Join(outside, "secret.js"), Line: 1, Column: 1})
	trace, images := enrich(t, dir, list)
	for _, f := range trace[0].Frames {
		if f.Source != "" || f.Mapped {
			t.Errorf("%s was read: %q", f.Path, f.Source)
		}
	}
	if len(images) != 0 {
		t.Errorf("%v", images)
	}
}

func TestAMapThatPointsElsewhereIsNotRead(t *testing.T) {
	dir := t.TempDir()
	for i, target := range []string{"../../../proc/self/environ", "/proc/self/environ", "https://example.com/x.map", "data:application/json,{}"} {
		name := fmt.Sprintf("f%d.js", i)
		write(t, dir, name, "code();\n//# sourceMappingURL="+target+"\n")
		trace, _ := enrich(t, dir, []stack.Frame{{Path: "/var/task/" + name, Line: 1, Column: 1}})
		if f := trace[0].Frames[0]; f.Mapped || f.Source != "code();" {
			t.Errorf("%s: %+v", target, f)
		}
	}
}

func TestADebugIDIsSentWhereTheMapIsElsewhere(t *testing.T) {
	dir := t.TempDir()
	const id = "85314830-023f-4cf1-a267-535f4e37bb17"
	write(t, dir, "end.js", "code();\n//# debugId="+strings.ToUpper(id)+"\n")
	write(t, dir, "start.js", `!function(){try{globalThis._sentryDebugIds={},"sentry-dbid-`+id+`"}catch(e){}}();`+"\ncode();\n")
	write(t, dir, "wrong.js", "code();\n//# debugId=85314830-023f-4cf1-a267-535f4e37bb1x\n")
	_, images := enrich(t, dir, []stack.Frame{{Path: "/var/task/end.js", Line: 1, Column: 1}, {Path: "/var/task/start.js", Line: 2, Column: 1}, {Path: "/var/task/wrong.js", Line: 1, Column: 1}})
	if got := fmt.Sprint(images); got != "[{/var/task/start.js "+id+"} {/var/task/end.js "+id+"}]" {
		t.Error(got)
	}
}

func TestPythonShowsItsLines(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "app.py", "import os\n\ndef handler(event, context):\n    x = 1\n    return event['a']\n")
	files := Open(dir)
	trace := []stack.Exception{{Type: "KeyError", Frames: []stack.Frame{{Path: "/var/task/app.py", Line: 5, Source: "return event['a']"}}}}
	files.Enrich(trace, stack.Python, time.Second)
	if f := trace[0].Frames[0]; f.Source != "    return event['a']" || len(f.Pre) != 4 || f.Pre[3] != "    x = 1" || len(f.Post) != 0 {
		t.Errorf("%+v", f)
	}
}

func TestAnUnmappedBundleIsNotShown(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "index.js", strings.Repeat("a();", 1000)+"\nshort();\n")
	trace, _ := enrich(t, dir, []stack.Frame{{Path: "/var/task/index.js", Line: 1, Column: 10}, {Path: "/var/task/index.js", Line: 2, Column: 1}})
	if f := trace[0].Frames; f[0].Source != "" || f[1].Source != "short();" {
		t.Errorf("%+v", f)
	}
}

// Whatever is cut off or wrong, the frame stays as it is.
func TestABrokenMapCostsNothing(t *testing.T) {
	good, err := os.ReadFile("testdata/beside/index.js.map")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("testdata/beside/index.js")
	if err != nil {
		t.Fatal(err)
	}
	maps := []string{"", "{", "[]", "null", `{"version":3}`, `{"mappings":"AAAA"`, `{"mappings":"!!!!"}`, `{"mappings":"gggggggggggggg"}`, `{"mappings":"AAAA,BBBBBBB"}`,
		`{"sections":[],"mappings":""}`, `{"mappings":"` + strings.Repeat(";", 1<<20) + `"}`, strings.Repeat("[", 1<<16), `{"a":` + strings.Repeat("[", 1<<16)}
	for i := 0; i < len(good); i += 7 {
		maps = append(maps, string(good[:i]))
	}
	for _, text := range maps {
		dir := t.TempDir()
		write(t, dir, "index.js", string(code))
		write(t, dir, "index.js.map", text)
		trace, _ := enrich(t, dir, frames(1, 631, 1, 599, 1, 505))
		if got := told(trace[0].Frames); got != "y index.js:1:631, s.pay index.js:1:599, m index.js:1:505" {
			t.Errorf("%.60s: %s", text, got)
		}
	}
}

func TestBytesAndTimeAreLimited(t *testing.T) {
	files := Open("testdata/beside")
	trace := []stack.Exception{{Frames: frames(1, 631, 1, 599, 1, 505)}}
	files.Enrich(trace, stack.Node, 0)
	if trace[0].Frames[0].Mapped {
		t.Error("mapped although there was no time")
	}
}

// The same crash comes again and again: its map of 30 MB is read for the first one.
func TestAMapIsReadOnceForTheSamePlaces(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"index.js", "index.js.map"} {
		raw, err := os.ReadFile("testdata/beside/" + name)
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, name, string(raw))
	}
	files := Open(dir)
	again := func(limit time.Duration) stack.Exception {
		trace := []stack.Exception{{Frames: frames(1, 631, 1, 599, 1, 505)}}
		files.Enrich(trace, stack.Node, limit)
		return trace[0]
	}
	again(0) // what was cut short is not kept
	first := again(10 * time.Second)
	if err := os.Remove(filepath.Join(dir, "index.js.map")); err != nil {
		t.Fatal(err)
	}
	first.Frames[2].Pre[4] = "[redacted]"
	second := again(10 * time.Second)
	if told(second.Frames) != authors || second.Frames[2].Pre[4] == "[redacted]" || len(second.RawFrames) != 3 {
		t.Errorf("%+v", second)
	}
	trace := []stack.Exception{{Frames: frames(1, 631, 1, 600)}}
	files.Enrich(trace, stack.Node, 10*time.Second)
	if got := told(trace[0].Frames); got != "y index.js:1:631, s.pay index.js:1:600" {
		t.Errorf("another place, without the map: %s", got)
	}
}

func TestPlacesThatAreKeptAreBounded(t *testing.T) {
	files := Open("testdata/beside")
	for column := 1; column < 500; column += 3 {
		files.Enrich([]stack.Exception{{Frames: frames(1, column, 1, column+1)}}, stack.Node, 10*time.Second)
		if len(files.places) > 64 {
			t.Fatalf("%d places", len(files.places))
		}
	}
}

func FuzzMap(f *testing.F) {
	good, err := os.ReadFile("testdata/beside/index.js.map")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(good))
	f.Fuzz(func(t *testing.T, text string) {
		dir := t.TempDir()
		write(t, dir, "index.js", "x\n")
		write(t, dir, "index.js.map", text)
		files := Open(dir)
		files.Enrich([]stack.Exception{{Frames: frames(1, 631, 1, 599, 1, 505)}}, stack.Node, time.Second)
	})
}
