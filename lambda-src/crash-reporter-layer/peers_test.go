package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "cdk-serverless-blocks/crash-reporter/internal/harness"
)

// BenchmarkPeers measures this extension beside others, in turns: `npx
// projen bench:crash-reporter-layer` builds those and reads the figures.
//
//	PEERS='{"name":"/path/of/binary"}' PEERS_OUT=figures.json go test -run '^$' -bench Peers -benchtime 1x .
func BenchmarkPeers(b *testing.B) {
	out := os.Getenv("PEERS_OUT")
	if out == "" {
		b.Fatal("name the file for the figures in PEERS_OUT")
	}
	binaries := map[string]string{}
	if err := json.Unmarshal([]byte(os.Getenv("PEERS")), &binaries); err != nil {
		b.Fatal(err)
	}
	const rounds, invocations = 25, 200
	figures := map[string]map[string][]float64{}
	for round := 0; round < rounds; round++ {
		for name, path := range binaries {
			note := func(figure string, value float64) {
				if figures[name] == nil {
					figures[name] = map[string][]float64{}
				}
				figures[name][figure] = append(figures[name][figure], value)
			}
			lambda := NewLambda(b, path, "http://key@127.0.0.1:9/1").Start()
			register, next := lambda.StartTimes()
			note("register", ms(register))
			note("next", ms(next))
			note("rss", lambda.Memory("smaps_rollup", "Rss"))
			note("private", lambda.Memory("smaps_rollup", "Pss_Anon"))
			if round%5 == 0 {
				lambda.Post(healthy("nodejs:20.v22"))
				before := lambda.CPU()
				for i := 0; i < invocations; i++ {
					lambda.Post(Batch(Start(r1), Log("2026-11-21T02:30:00.000Z\t"+r1+"\tINFO\tsomething ordinary\n"), Done(r1, "success", "", 12), Report(r1, "success", "", 128, 64)))
				}
				note("cpu", ms(lambda.CPU()-before)/invocations)
			}
			lambda.Shutdown("spindown")
		}
	}
	figures["map"] = map[string][]float64{"without": peaks(b, false), "with": peaks(b, true)}
	raw, err := json.Marshal(figures)
	if err == nil {
		err = os.WriteFile(out, raw, 0o600)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// peaks are the most that the process ever held, in kB, where it has reported
// an error of bundled code, with and without a source map of 30 MB.
func peaks(b *testing.B, withMap bool) (peaks []float64) {
	dir := b.TempDir()
	comment := ""
	if withMap {
		comment = "//# sourceMappingURL=index.js.map\n"
		line := strings.Repeat("x", 99) + `\n`
		text := fmt.Sprintf(`{"version":3,"sources":["a.ts","b.ts"],"sourcesContent":["%s","%sthe line\n"],"names":[],"mappings":"%s;ACUA"}`,
			strings.Repeat(line, 200_000), strings.Repeat(line, 10), strings.Repeat("AAAA,", 2_000_000)+"AAAA")
		write(b, filepath.Join(dir, "index.js.map"), text)
	}
	write(b, filepath.Join(dir, "index.js"), "code();\n// "+strings.Repeat("x", 600)+"\n"+comment)
	for tries := 0; len(peaks) < 9; tries++ {
		if tries == 60 {
			b.Fatal("no time for a map: the machine is too busy")
		}
		sink := NewSink(b, false)
		lambda := NewLambda(b, binary, sink.DSN())
		lambda.Env["CRASH_REPORTER_TASK_ROOT"], lambda.Env["CRASH_REPORTER_MODE"] = dir, "errors"
		lambda.Start().Post(healthy("nodejs:20.v22"))
		lambda.Post(strings.Replace(throws(r1, "boom"), "index.js:1:2", "index.js:2:1", 1))
		path := Dig(sink.Wait(1)[0].Event, "exception", "values", -1, "stacktrace", "frames", -1, "filename")
		if (path == "b.ts") == withMap { // a map that took longer than its 300 ms is not what is measured
			peaks = append(peaks, lambda.Memory("status", "VmHWM"))
		}
		lambda.Shutdown("spindown")
	}
	return peaks
}

func write(b *testing.B, file, text string) {
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
}
