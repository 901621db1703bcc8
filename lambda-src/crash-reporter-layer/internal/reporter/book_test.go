package reporter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/crash"
	. "cdk-serverless-blocks/crash-reporter/internal/harness"
	"cdk-serverless-blocks/crash-reporter/internal/sentry"
	"cdk-serverless-blocks/crash-reporter/internal/stack"
	"cdk-serverless-blocks/crash-reporter/internal/state"
)

func TestOneEventIsSentAtATimeAndOneWakeIsKept(t *testing.T) {
	b := newBench(t.TempDir())
	b.sendMu.Lock()
	select {
	case b.sendMu <- struct{}{}:
		t.Error("two send at the same time")
	default:
	}
	b.poke()
	b.poke()
	if len(b.wake) != 1 {
		t.Errorf("%d wakes", len(b.wake))
	}
}

func TestTheLastOfFourKindsIsKept(t *testing.T) {
	b := newBench(t.TempDir())
	for i, reason := range []state.Reason{state.Ignored, state.Sampled, state.Duplicate, state.Limited, state.Duplicate, state.Duplicate, state.Duplicate} {
		b.keepLast(fmt.Sprint(i), crash.Report{}, reason)
	}
	b.keepLast("5", crash.Report{Type: "new"}, state.Duplicate)
	if len(b.last) != 4 || b.last["3"].reason != state.Limited || b.last["5"].report.Type != "new" {
		t.Errorf("%+v", b.last)
	}
}

func TestAtItsEndTheLastHeldBackCrashIsSent(t *testing.T) {
	dir := t.TempDir()
	first := newBench(dir)
	first.crash("r1")
	first.crash("r2")
	first.closeBook(context.Background(), false)
	if len(first.sent) != 2 {
		t.Errorf("%d sent by the process that sent one of the kind", len(first.sent))
	}
	failed := newBenchAt(dir, first.now)
	failed.crash("r3")
	failed.closeBook(context.Background(), false)
	if len(failed.sent) != 0 {
		t.Errorf("%d sent after a failure, by a process that had sent none of the kind", len(failed.sent))
	}
	last := newBenchAt(dir, failed.now)
	last.crash("r4")
	last.Shutdown("spindown", 2*time.Second)
	if len(last.sent) != 1 {
		t.Errorf("%d sent where nothing comes after", len(last.sent))
	}
}

func TestWhatWasNotSentIsReportedOnceWithoutAnEvent(t *testing.T) {
	b := newBench(t.TempDir())
	b.o.Ignore = []crash.IgnoreRule{{Type: "*"}}
	b.crash("r1")
	for range 2 {
		b.reportAlone(context.Background(), true)
	}
	if len(b.reports) != 1 || strings.Count(b.reports[0], "reason") != 1 || !strings.Contains(b.reports[0], "event_processor") {
		t.Errorf("%v", b.reports)
	}
}

func TestTheBookIsToldAfterAMinute(t *testing.T) {
	b := newBench(t.TempDir())
	b.tell()
	if len(b.lines) != 0 {
		t.Errorf("nothing happened: %v", b.lines)
	}
	began := b.now
	b.crash("r1")
	b.crash("r2")
	b.pass(time.Minute - b.now.Sub(began) - 1)
	b.tellSometimes()
	if len(b.lines) != 0 {
		t.Errorf("before a minute had passed: %v", b.lines)
	}
	b.pass(1)
	b.tellSometimes()
	if fmt.Sprint(b.lines) != "[2 crashes, 1 sent, 1 like one that was sent]" {
		t.Errorf("%v", b.lines)
	}
	for want, account := range map[string]state.Account{
		"1 crash, 1 sent": {Crashes: 1, Sent: 1},
		"2 crashes, 1 sent, 1 kept for the next try":         {Crashes: 2, Sent: 1},
		"3 crashes, 1 sent, 2 not sent and not kept":         {Crashes: 3, Sent: 1, HeldBack: map[state.Reason]int{state.Network: 2}},
		"2 crashes, 0 sent, 2 over the limit of 10 a minute": {Crashes: 2, HeldBack: map[state.Reason]int{state.Limited: 2}},
	} {
		if got := b.sentence(account); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestMetricsAreWrittenWhereSomethingHappened(t *testing.T) {
	for name, want := range map[string]bool{"": false, "all": true} {
		b := newBench(t.TempDir())
		b.o.Metrics, b.o.Name = true, name
		b.meter("")
		if len(b.lines) != 0 {
			t.Errorf("nothing happened: %v", b.lines)
		}
		b.o.Ledger.Admit(state.Crash{Fingerprint: "f"}, b.now)
		b.meter("T")
		b.o.Ledger.Admit(state.Crash{Fingerprint: "g"}, b.now)
		b.meter("")
		if len(b.lines) != 2 || !strings.Contains(b.lines[0], `"type":"T"`) || strings.Contains(b.lines[1], `"type"`) || strings.Contains(b.lines[0], `"Reporter":"all"`) != want || strings.Contains(b.lines[0], `"Reporter"`) != want {
			t.Errorf("name %q: %v", name, b.lines)
		}
	}
}

// An initialization that fails is repeated by Lambda, in another process: that is the same crash.
func TestTheRepeatedInitializationIsTheSameCrash(t *testing.T) {
	dir := t.TempDir()
	var crashes int
	for _, phase := range []string{"init", "invoke"} {
		b := newBench(dir)
		b.ingest.Read(strings.NewReader(Batch(Event("platform.initStart", R{"phase": phase, "initializationType": "on-demand"}),
			Event("platform.initRuntimeDone", R{"phase": phase, "status": "error", "errorType": "Runtime.ExitError"}))))
		b.pass(time.Second)
		b.Flush(context.Background())
		crashes = b.o.Ledger.Account().Crashes
	}
	if crashes != 1 {
		t.Errorf("%d crashes", crashes)
	}
}

func TestAFullQueueMakesRoom(t *testing.T) {
	for outcome, want := range map[sentry.Outcome][3]int{sentry.Delivered: {9, 0, 0}, sentry.Failed: {1, 8, 1}} {
		b := newBench(t.TempDir())
		b.result = sentry.Result{Outcome: outcome, Err: errors.New("so it is")}
		for i := range 8 {
			b.queue = append(b.queue, queued{id: fmt.Sprint(i), payload: []byte("{}")})
		}
		b.arrived = []admitted{{report: crash.Report{Type: "T"}, fingerprint: "f"}}
		all := b.deliver(context.Background(), time.Second, true)
		if got := [3]int{len(b.sent), len(b.queue), b.o.Ledger.Account().HeldBack[state.Queue]}; got != want || all != (outcome == sentry.Delivered) {
			t.Errorf("outcome %d: sent, queued and given up %v, all sent: %v", outcome, got, all)
		}
	}
}

func TestAnEventIsNotLargerThan64KiB(t *testing.T) {
	b := newBench(t.TempDir())
	e := stack.Exception{Type: "E"}
	for range 60 {
		e.Frames = append(e.Frames, stack.Frame{Function: strings.Repeat("f", 500), Module: strings.Repeat("m", 500), Source: strings.Repeat("s", 400)})
	}
	b.queueEvent(context.Background(), admitted{report: crash.Report{Exceptions: []stack.Exception{e}}})
	if n := len(b.queue[0].payload); n > 64<<10 {
		t.Errorf("%d bytes", n)
	}
}

func TestMappingFramesIsHurriedNearTheEnd(t *testing.T) {
	for left, want := range map[time.Duration]time.Duration{800 * time.Millisecond: 100 * time.Millisecond, time.Hour: 300 * time.Millisecond, 0: 300 * time.Millisecond} {
		b := newBench(t.TempDir())
		b.o.Source = func(_ *crash.Report, limit time.Duration) {
			if limit != want {
				t.Errorf("with %v left: %v", left, limit)
			}
		}
		ctx, cancel := context.Background(), func() {}
		if left > 0 {
			ctx, cancel = context.WithTimeout(ctx, left)
		}
		b.queueEvent(ctx, admitted{})
		cancel()
	}
}

func TestAKeyThatWasChangedIsTakenAtOnce(t *testing.T) {
	for key, want := range map[string]int{"new": 2, "old": 1} {
		b := newBench(t.TempDir())
		b.o.DSNIsStored = true
		b.dsn = &sentry.DSN{PublicKey: "old"}
		b.o.DSN = func(context.Context) (sentry.DSN, error) { return sentry.DSN{PublicKey: key}, nil }
		b.answer = func(dsn sentry.DSN) sentry.Result {
			if dsn.PublicKey == "old" {
				return sentry.Result{Outcome: sentry.Unauthorized, Err: errors.New("status 403")}
			}
			return sentry.Result{}
		}
		b.crash("r1")
		if len(b.sent) != want || (len(b.queue) == 0) != (key == "new") {
			t.Errorf("key %s: tried %d times, %d queued", key, len(b.sent), len(b.queue))
		}
	}
}

func TestAServerThatWantsNoSilenceIsNotSaidToWantIt(t *testing.T) {
	b := newBench(t.TempDir())
	b.crash("r1")
	if len(b.lines) != 0 {
		t.Errorf("%v", b.lines)
	}
}

func TestNothingIsPendingWhereNothingIsQueued(t *testing.T) {
	b := newBench(t.TempDir())
	if wait, pending := b.untilNext(); pending {
		t.Errorf("in %v", wait)
	}
	b.ingest.Read(strings.NewReader(Batch(Start("r1"), Done("r1", "error", "Runtime.ExitError", 1))))
	b.queue = []queued{{id: "i"}}
	for retry, want := range map[time.Duration]time.Duration{time.Second: 50 * time.Millisecond, 10 * time.Millisecond: 10 * time.Millisecond} {
		b.retryAt = b.now.Add(retry)
		if wait, pending := b.untilNext(); wait != want || !pending {
			t.Errorf("the next try in %v: %v", retry, wait)
		}
	}
}

// 300 ms are left for Lambda's kill, and 100 ms are taken where even those are not there.
func TestAShutdownEndsBeforeItsBudget(t *testing.T) {
	for budget, want := range map[time.Duration]time.Duration{time.Second: 700 * time.Millisecond, 350 * time.Millisecond: 100 * time.Millisecond, 10 * time.Second: 1200 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t.TempDir())
			b.queue = []queued{{id: "i", payload: []byte("{}")}}
			b.o.Send = func(ctx context.Context, _ sentry.DSN, _ sentry.Message) sentry.Result {
				if end, _ := ctx.Deadline(); time.Until(end) != want {
					t.Errorf("a budget of %v: %v", budget, time.Until(end))
				}
				return sentry.Result{}
			}
			b.Shutdown("spindown", budget)
		})
	}
}
