package reporter

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/crash"
	. "cdk-serverless-blocks/crash-reporter/internal/harness"
	"cdk-serverless-blocks/crash-reporter/internal/sentry"
	"cdk-serverless-blocks/crash-reporter/internal/stack"
)

// A failed delivery is tried again after 1, 2, 4 … s, at most a minute, and after 1 s again once one has
// succeeded.
func TestThePauseBetweenTriesGrowsAndIsReset(t *testing.T) {
	b := newBench(t.TempDir())
	failed := sentry.Result{Outcome: sentry.Failed, Err: context.DeadlineExceeded}
	b.result = failed
	b.crash("r1")
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		tries := len(b.sent)
		b.pass(want*time.Second - time.Millisecond)
		b.retry()
		if len(b.sent) != tries {
			t.Fatalf("tried before %d s had passed", want)
		}
		b.pass(time.Millisecond)
		b.retry()
		if len(b.sent) != tries+1 {
			t.Fatalf("not tried after %d s", want)
		}
	}
	b.result = sentry.Result{}
	b.pass(time.Minute)
	b.retry()
	if len(b.queue) != 0 {
		t.Fatal("still queued")
	}
	b.result = failed
	b.crash("r2")
	tries := len(b.sent)
	b.pass(time.Second)
	b.retry()
	if len(b.sent) != tries+1 {
		t.Error("after a success the pause does not begin with a second")
	}
}

// A record that Lambda cuts comes in slowly where the machine is busy, and the end
// of its invocation is behind it: what is on its way is waited for.
func TestAShutdownWaitsForTelemetryThatIsComingIn(t *testing.T) {
	const id = "6d68ca91-49c9-448d-89b8-7ca3e6dc66aa"
	for pieces, want := range map[int]string{3: "Runtime.ExitError", 30: "Runtime.Unknown"} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(nowhere)
			b.o.Now = time.Now
			b.ingest.Read(strings.NewReader(Batch(Start(id))))
			go func() {
				post := b.Hears(strings.NewReader(strings.Repeat("x", pieces)))
				for n := 0; n < pieces; n++ {
					time.Sleep(200 * time.Millisecond)
					_, _ = post.Read(make([]byte, 1))
				}
				b.ingest.Read(strings.NewReader(Batch(Done(id, "error", "Runtime.ExitError", 5))))
			}()
			began := time.Now()
			b.Shutdown("failure", 2*time.Second)
			if len(b.sent) != 1 || Dig(b.sent[0], "exception", "values", -1, "type") != want || time.Since(began) > time.Second {
				t.Errorf("after %d pieces and %s: %v", pieces, time.Since(began), b.sent)
			}
			synctest.Wait()
			time.Sleep(10 * time.Second) // the goroutine ends
		})
	}
}

// How many records Lambda dropped is reported with the next crash, once, and wakes whoever waits for an end.
func TestDroppedRecordsAreCounted(t *testing.T) {
	b := newBench(t.TempDir())
	drop := func(kind string, n int) {
		b.ingest.Read(strings.NewReader(Batch(Event(kind, R{"droppedRecords": n, "droppedBytes": 9, "reason": "slow"}))))
	}
	drop("platform.logsDropped", 3)
	drop("platform.telemetryDropped", 4)
	if b.Drops() != 2 {
		t.Errorf("%d drops", b.Drops())
	}
	if _, ok := b.WaitEnd(context.Background(), "unknown", 1); ok {
		t.Error("an end that nobody reported")
	}
	b.crash("r1")
	b.pass(2 * time.Minute)
	b.crash("r2")
	var told []any
	for _, event := range b.sent {
		told = append(told, Dig(event, "contexts", "aws.lambda", "logs_dropped"))
	}
	if len(told) != 2 || told[0] != 7.0 || told[1] != nil {
		t.Errorf("told %v", told)
	}
}

// The same text is logged once, and no more than sixteen different ones: a log line for each try would cost the user more than it tells.
func TestWhatIsLoggedIsBounded(t *testing.T) {
	b := newBench(t.TempDir())
	var lines []string
	b.o.Log = func(text string) { lines = append(lines, text) }
	for n := range 17 {
		b.logOnce(fmt.Sprint("line ", string(rune('a'+n))))
		b.logOnce("line a")
	}
	if len(lines) != 16 {
		t.Errorf("%d lines: %v", len(lines), lines)
	}
}

func TestAFingerprintIsOfWhatIsKnown(t *testing.T) {
	of := func(exceptions ...stack.Exception) string {
		return fingerprintOf("f", crash.Report{Type: "T", Value: "v", Exceptions: exceptions})
	}
	frame := func(line int) []stack.Frame { return []stack.Frame{{Path: "p", Line: line, Function: "g"}} }
	if of() != of(stack.Exception{}) || of() == of(stack.Exception{Frames: frame(1)}) || of(stack.Exception{Frames: frame(1)}) == of(stack.Exception{Frames: frame(2)}) {
		t.Error("two places have one fingerprint, or one has two")
	}
}

// A stored DSN is read anew five minutes after the last time at the earliest.
func TestAStoredDSNIsReadAnewAfterFiveMinutes(t *testing.T) {
	b := newBench(t.TempDir())
	b.o.DSNIsStored = true
	reads := 0
	b.o.DSN = func(context.Context) (sentry.DSN, error) { reads++; return sentry.DSN{}, nil }
	b.dsn = &sentry.DSN{}
	b.rotated(context.Background())
	b.pass(5*time.Minute - 1)
	b.rotated(context.Background())
	if reads != 1 {
		t.Errorf("%d reads before five minutes", reads)
	}
	b.pass(1)
	b.rotated(context.Background())
	if reads != 2 {
		t.Errorf("%d reads after five minutes", reads)
	}
}
