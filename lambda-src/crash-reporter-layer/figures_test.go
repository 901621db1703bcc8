package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	. "cdk-serverless-blocks/crash-reporter/internal/harness"
)

// BenchmarkFigures measures what the extension costs a function:
//
//	go test -run '^$' -bench Figures -benchtime 1x .
func BenchmarkFigures(b *testing.B) {
	for b.Loop() {
		size(b)
		starts(b)
		healthyCost(b)
		logPeak(b)
		shutdown(b)
		afterInvocation(b)
	}
	b.ReportMetric(0, "ns/op")
}

func size(b *testing.B) {
	raw, err := os.ReadFile(binary)
	if err != nil {
		b.Fatal(err)
	}
	var packed bytes.Buffer
	w, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	_, _ = w.Write(raw)
	_ = w.Close()
	b.ReportMetric(float64(len(raw)), "bytes")
	b.ReportMetric(float64(packed.Len()), "gzip-bytes")
}

func starts(b *testing.B) {
	var registers, nexts, idle, private []float64
	for i := 0; i < 15; i++ {
		lambda := NewLambda(b, binary, NewSink(b, false).DSN()).Start()
		lambda.Post(healthy("nodejs:20.v22"))
		register, next := lambda.StartTimes()
		registers, nexts = append(registers, ms(register)), append(nexts, ms(next))
		idle = append(idle, lambda.Memory("smaps_rollup", "Rss"))
		private = append(private, lambda.Memory("smaps_rollup", "Pss_Anon"))
		lambda.Shutdown("spindown")
	}
	b.ReportMetric(median(registers), "ms-exec-register")
	b.ReportMetric(median(nexts), "ms-register-next")
	b.ReportMetric(median(idle), "kB-idle-rss")
	b.ReportMetric(median(private), "kB-idle-anon")
}

func healthyCost(b *testing.B) {
	const invocations = 400
	for unit, lines := range map[string]int{"ms-cpu-invocation": 0, "ms-cpu-invocation-20-logs": 20} {
		lambda := NewLambda(b, binary, NewSink(b, false).DSN()).Start()
		lambda.Post(healthy("nodejs:20.v22"))
		before := lambda.CPU()
		for i := 0; i < invocations; i++ {
			events := []string{Start(r1)}
			for n := 0; n < lines; n++ {
				events = append(events, Log("2026-11-21T02:30:00.000Z\t"+r1+"\tINFO\tsomething ordinary happened to order 12345 of customer 678\n"))
			}
			lambda.Post(Batch(append(events, Done(r1, "success", "", 12), Report(r1, "success", "", 128, 64))...))
		}
		b.ReportMetric(ms(lambda.CPU()-before)/invocations, unit)
		lambda.Shutdown("spindown")
	}
}

// logPeak posts 10 MB of log lines a second in batches of 256 KB.
func logPeak(b *testing.B) {
	lambda := NewLambda(b, binary, NewSink(b, false).DSN()).Start()
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Post(Batch(Start(r1)))
	line := Log("2026-11-21T02:30:00.000Z\t" + r1 + "\tINFO\t" + strings.Repeat("some ordinary words ", 20) + "\n")
	batch := Batch(strings.Split(strings.TrimSuffix(strings.Repeat(line+"\x00", (256<<10)/len(line)), "\x00"), "\x00")...)
	ticker := time.NewTicker(time.Second * time.Duration(len(batch)) / (10 << 20))
	defer ticker.Stop()
	before, start := lambda.CPU(), time.Now()
	for i := 0; i < 120; i++ {
		<-ticker.C
		lambda.Post(batch)
	}
	b.ReportMetric(float64(120*len(batch))/time.Since(start).Seconds()/(1<<20), "MB/s-logs")
	b.ReportMetric(ms(lambda.CPU()-before)/ms(time.Since(start))*100, "cpu%-logs")
	b.ReportMetric(lambda.Memory("status", "VmHWM"), "kB-peak-rss-logs")
	lambda.Post(exits(r2))
	lambda.Shutdown("failure")
}

func shutdown(b *testing.B) {
	var delivered, exit []float64
	for i := 0; i < 9; i++ {
		sink := NewSink(b, false)
		lambda := NewLambda(b, binary, sink.DSN()).Start()
		lambda.Post(healthy("nodejs:20.v22"))
		lambda.Post(Batch(Start(r1)))
		start := time.Now()
		lambda.Shutdown("timeout") // only the shutdown shows the crash: the longest wait
		delivered = append(delivered, ms(sink.Wait(1)[0].At.Sub(start)))

		quick := NewLambda(b, binary, sink.DSN()).Start()
		quick.Post(healthy("nodejs:20.v22"))
		exit = append(exit, ms(quick.Shutdown("spindown")))
	}
	b.ReportMetric(median(delivered), "ms-shutdown-delivered")
	b.ReportMetric(median(exit), "ms-shutdown-exit")
}

// afterInvocation is what errors mode adds once Lambda has delivered runtimeDone.
func afterInvocation(b *testing.B) {
	lambda := NewLambda(b, binary, NewSink(b, false).DSN())
	lambda.Env["CRASH_REPORTER_MODE"] = "errors"
	lambda.Start().Post(healthy("nodejs:20.v22"))
	var added []float64
	for i := 1; i <= 50; i++ {
		lambda.Invoke(r1[:34]+strconv.Itoa(10+i), 3*time.Second)
		lambda.WaitTaken()
		start := time.Now()
		lambda.Post(Batch(Start(r1[:34]+strconv.Itoa(10+i)), Done(r1[:34]+strconv.Itoa(10+i), "success", "", 3)))
		lambda.WaitNexts(i + 1)
		added = append(added, ms(time.Since(start)))
	}
	lambda.Shutdown("spindown")
	b.ReportMetric(median(added), "ms-errors-mode")
	b.ReportMetric(added[len(added)*95/100], "ms-errors-mode-p95")
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func median(values []float64) float64 {
	sort.Float64s(values)
	return values[len(values)/2]
}
