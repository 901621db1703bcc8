package crash

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/telemetry"
)

// Each limit from both sides: otherwise nobody would see it change.
func TestLimits(t *testing.T) {
	const exit = "Runtime.ExitError"
	crumbs := func(lines ...string) []Crumb {
		tr := New(Options{Breadcrumbs: true})
		feed(tr, now, start("r1"))
		for _, line := range lines {
			feed(tr, now, logLine(line))
		}
		feed(tr, now, done("r1", "error", exit))
		return tr.Due(now.Add(time.Second))[0].Crumbs
	}
	for length, want := range map[int]int{400: 400, 401: 400} {
		if got := crumbs(strings.Repeat("x", length)); len(got[0].Text) != want {
			t.Errorf("a line of %d has %d", length, len(got[0].Text))
		}
	}
	for count, want := range map[int]int{20: 20, 21: 20} {
		if got := crumbs(strings.Split(strings.Repeat("x", count), "")...); len(got) != want {
			t.Errorf("%d lines: %d", count, len(got))
		}
	}
	for count, want := range map[int]int{8: 8, 9: 8} {
		tr := New(Options{})
		for i := range count {
			id := fmt.Sprint("r", i)
			feed(tr, now, start(id), done(id, "error", exit))
		}
		reports := tr.Due(now.Add(time.Second))
		if len(reports) != want || reports[0].ReportsDropped != count-want {
			t.Errorf("%d crashes: %d, %d dropped", count, len(reports), reports[0].ReportsDropped)
		}
	}
	for count, want := range map[int]int{32: 32, 33: 32} {
		tr := New(Options{})
		for i := range count {
			feed(tr, now, start(fmt.Sprint("r", i)))
		}
		if len(tr.requests) != want {
			t.Errorf("%d requests: %d are known", count, len(tr.requests))
		}
	}
	// A trace of 32 KiB is kept whole, and a line that would make it longer is not.
	for length, want := range map[int]int{32<<10 - 1: 32<<10 - 1, 32 << 10: 32 << 10, 32<<10 + 1: 32 << 10} {
		tr := New(Options{})
		feed(tr, now, start("r1"), logLine("RangeError: "+strings.Repeat("x", length-len("RangeError: "))))
		if got := tr.logs.block.Len(); got < want || got > want+1 {
			t.Errorf("a first line of %d: %d", length, got)
		}
	}
	// A crash during the initialization waits for 150 ms, any other for half a second.
	for later, want := range map[time.Duration]int{149 * time.Millisecond: 0, 150 * time.Millisecond: 1} {
		tr := New(Options{})
		feed(tr, now, telemetry.Event{Type: "platform.initStart", Phase: PhaseInit}, telemetry.Event{Type: "platform.initRuntimeDone", Phase: PhaseInit, Status: "error", ErrorType: exit})
		if got := tr.Due(now.Add(later)); len(got) != want {
			t.Errorf("after %v: %v", later, kinds(got))
		}
	}
	for later, want := range map[time.Duration]int{499 * time.Millisecond: 0, 500 * time.Millisecond: 1} {
		tr := New(Options{})
		feed(tr, now, start("r1"))
		for at := time.Duration(0); at <= later; at += 10 * time.Millisecond {
			feed(tr, now.Add(at), done("r1", "error", exit))
		}
		feed(tr, now.Add(later), done("r1", "error", exit))
		if got := tr.Due(now.Add(later)); len(got) != want {
			t.Errorf("signals for %v: %v", later, kinds(got))
		}
	}
}
