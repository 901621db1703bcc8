package source

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/stack"
)

// A map of 30 MB is read as a stream: what is held of it is a buffer and the lines around.
func TestALargeMapIsNotHeldInMemory(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "index.js", "code();\n//# sourceMappingURL=index.js.map\n")
	f, err := os.Create(filepath.Join(dir, "index.js.map"))
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("x", 99) + `\n`
	fmt.Fprintf(f, `{"version":3,"sources":["a.ts","b.ts"],"sourcesContent":["%s","%sthe line\n"],"names":[],"mappings":"%s;ACUA"}`,
		strings.Repeat(line, 200_000), strings.Repeat(line, 10), strings.Repeat("AAAA,", 2_000_000)+"AAAA")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	trace := []stack.Exception{{Frames: []stack.Frame{{Path: "/var/task/index.js", Line: 2, Column: 1}}}}
	files := Open(dir)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	files.Enrich(trace, stack.Node, time.Hour)
	runtime.ReadMemStats(&after)
	if got := trace[0].Frames[0]; got.Path != "/var/task/b.ts" || got.Line != 11 || got.Source != "the line" {
		t.Errorf("%+v", got)
	}
	// Everything that was ever allocated, not only what was held at once.
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 2<<20 {
		t.Errorf("%d bytes for a map of 30 MB", grown)
	}
}
