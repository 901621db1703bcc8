package crash

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/stack"
	"cdk-serverless-blocks/crash-reporter/internal/telemetry"
)

func TestTheMoreCertainSignalOfACrashWins(t *testing.T) {
	for _, c := range []struct{ status, next, want string }{
		{"", "error", "error"}, {"success", "error", "error"}, {"error", "timeout", "timeout"}, {"error", "failure", "error"},
		{"failure", "timeout", "failure"}, {"timeout", "error", "timeout"}, {"error", "success", "error"}, {"error", "", "error"},
	} {
		open := &incident{report: Report{Status: c.status}}
		if open.merge(telemetry.Event{Status: c.next}); open.report.Status != c.want {
			t.Errorf("status %q, then %q: %q", c.status, c.next, open.report.Status)
		}
	}
	const specific = "Runtime.ImportModuleError"
	for _, c := range []struct{ errorType, next, want string }{
		{"", typeExit, typeExit}, {typeExit, specific, specific}, {typeUnknown, specific, specific}, {typeUnknown, typeExit, typeExit},
		{typeExit, "", typeExit}, {typeExit, typeUnknown, typeExit}, {specific, "Runtime.NodeJsExit", specific},
	} {
		open := &incident{report: Report{ErrorType: c.errorType}}
		if open.merge(telemetry.Event{ErrorType: c.next}); open.report.ErrorType != c.want {
			t.Errorf("type %q, then %q: %q", c.errorType, c.next, open.report.ErrorType)
		}
	}
}

// Where two requests run at once and a line names neither, it may be of either: it counts for a crash within
// five seconds.
func TestALineOfNobodyIsTheCauseForFiveSeconds(t *testing.T) {
	for age, want := range map[time.Duration]string{5*time.Second - 1: "RangeError", 5 * time.Second: typeExit} {
		tr := New(Options{})
		feed(tr, now, start("r1"), start("r2"), logLine("RangeError: printed\n    at f (/var/task/a.js:1:2)"))
		feed(tr, now.Add(age), done("r1", "error", typeExit))
		if got := fmt.Sprint(kinds(tr.Due(now.Add(age + time.Second)))); got != "[r1 "+want+"]" {
			t.Errorf("after %v: %s", age, got)
		}
	}
}

func TestASecondStartWithinAnInvocationIsARetry(t *testing.T) {
	for _, c := range []struct {
		start, end string
		want       bool
	}{{PhaseInit, PhaseInit, false}, {PhaseInvoke, "", true}, {PhaseInit, PhaseInvoke, true}} {
		tr := New(Options{})
		feed(tr, now, telemetry.Event{Type: "platform.initStart", Phase: c.start},
			telemetry.Event{Type: "platform.initRuntimeDone", Phase: c.end, Status: "error", ErrorType: typeExit})
		if got := tr.Due(now.Add(time.Second)); len(got) != 1 || got[0].InitRetry != c.want {
			t.Errorf("started in %q, ended in %q: %+v", c.start, c.end, got)
		}
	}
}

// Lambda's report without a status says what a request cost, not that it ended.
func TestAReportWithoutAStatusEndsNoRequest(t *testing.T) {
	tr := New(Options{})
	feed(tr, now, start("r1"), telemetry.Event{Type: "platform.report", RequestID: "r1", MemorySizeMB: 128})
	tr.known("r1").start = now
	if got := fmt.Sprint(kinds(tr.Shutdown("timeout", now.Add(time.Second)))); got != "[r1 "+TypeTimeout+"]" {
		t.Errorf("%s", got)
	}
}

func TestOnlyLinesThatMayMatterAreRead(t *testing.T) {
	tr := New(Options{})
	wants := func(text string, want bool) {
		t.Helper()
		if tr.WantsLog([]byte(text)) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
	wants("all is well", false)
	wants("TypeError: x", true)
	feed(tr, now, start("r1"), logLine("TypeError: x"))
	wants("    at f (/var/task/a.js:1:2)", true) // the next line of it
}

func TestABlockOfLines(t *testing.T) {
	for length, want := range map[int]bool{32<<10 - 1: true, 32 << 10: false} {
		var b logbook
		b.add(telemetry.Event{}, "r1", stack.Line{Text: "Error: x"})
		before := b.block.Len()
		b.add(telemetry.Event{}, "r1", stack.Line{Text: " " + strings.Repeat("x", length-before-1)})
		if (b.block.Len() > before) != want {
			t.Errorf("with a second line it has %d: kept %v", length, !want)
		}
	}
	for block, want := range map[string]bool{"Error: bad {\n": true, "Error: bad\n": false, "Error: {} bad\n": false} {
		if got := continues(block, `"code": 1`); got != want {
			t.Errorf("%q goes on: %v", block, got)
		}
	}
	for scope, want := range map[string]bool{"r1": true, "r2": false} {
		var b logbook
		b.add(telemetry.Event{}, "r1", stack.Line{Text: "RangeError: x\n    at f (/var/task/a.js:1:2)"})
		if b.forget(scope); b.finding("r1").Empty() != want {
			t.Errorf("after forgetting %s, r1 is known: %v", scope, want)
		}
	}
}
