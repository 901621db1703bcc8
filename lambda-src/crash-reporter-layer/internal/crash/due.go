package crash

import (
	"strings"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/telemetry"
)

// sharedAge is how old a line may be that names no request, to be taken for
// the cause of a request's crash.
const sharedAge = 5 * time.Second

// NextDue is when Due will have something, zero if nothing is pending.
func (t *Tracker) NextDue() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	var next time.Time
	for _, open := range t.pending {
		if next.IsZero() || open.due.Before(next) {
			next = open.due
		}
	}
	return next
}

// Due returns the crashes whose signals are complete.
func (t *Tracker) Due(now time.Time) []Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.take(func(open *incident) bool { return !open.due.After(now) }, "")
}

// Shutdown returns every crash still pending, and those that only the shutdown
// itself shows.
func (t *Tracker) Shutdown(reason string, now time.Time) []Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	reason = strings.ToLower(reason)
	if reason != "spindown" {
		t.synthesise(reason, now)
	}
	return t.take(func(*incident) bool { return true }, reason)
}

// synthesise makes an incident of what was running when a shutdown for failure
// came without any platform event about it.
func (t *Tracker) synthesise(reason string, now time.Time) {
	status := "error"
	if reason == "timeout" {
		status = "timeout"
	}
	for _, r := range t.active() {
		r.done = true
		if r.reported || r.start.IsZero() || t.find(r.id) != nil || t.init == initFailed {
			continue
		}
		r.reported = true
		elapsed := float64(now.Sub(r.start)) / float64(time.Millisecond)
		t.signal(r.id, PhaseInvoke, telemetry.Event{Time: now, Status: status, DurationMs: max(elapsed, 0)}, now, 0)
	}
	if len(t.pending) > 0 || t.anyReported() {
		return
	}
	idle := t.logs.finding(scopeIdle)
	switch {
	case t.init == initRunning:
		t.signal(scopeInit, PhaseInit, telemetry.Event{Time: now, Status: status}, now, 0)
	case t.guilty.Name != "" || len(idle.Exceptions) > 0:
		t.signal(scopeIdle, PhaseInvoke, telemetry.Event{Time: now, Status: "error", ErrorType: t.guilty.ErrorType}, now, 0)
	}
}

func (t *Tracker) anyReported() bool {
	for _, r := range t.requests {
		if r.reported {
			return true
		}
	}
	return t.initSent || t.restored
}

// Told says that a crash was reported and nothing else runs or waits: whatever
// still comes could only be more signals of it.
func (t *Tracker) Told() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.pending) == 0 && len(t.active()) == 0 && t.anyReported()
}

func (t *Tracker) take(ready func(*incident) bool, reason string) []Report {
	var reports []Report
	kept := t.pending[:0]
	for _, open := range t.pending {
		if !ready(open) {
			kept = append(kept, open)
			continue
		}
		reports = append(reports, t.finish(open, reason))
	}
	t.pending = kept
	return reports
}

func (t *Tracker) finish(open *incident, reason string) Report {
	r := open.report
	r.ShutdownReason = reason
	r.Environment = t.env
	r.Crumbs = append([]Crumb(nil), t.logs.crumbs...)
	r.LogsDropped, r.ReportsDropped = t.lost, t.dropped
	t.lost, t.dropped = 0, 0
	if t.guilty.Name != "" {
		r.Extension, r.ExtensionState = t.guilty.Name, t.guilty.State
		t.guilty = telemetry.Event{} // not to be blamed for the next crash
	}
	found := t.logs.finding(open.scope)
	if found.Empty() && open.scope != scopeInit && open.since.Sub(t.sharedAt) < sharedAge {
		found = t.logs.finding(scopeShared)
		t.logs.forget(scopeShared)
	}
	if found.Empty() && r.Phase == PhaseInit {
		found = t.logs.finding(scopeInit)
	}
	classify(&r, found)
	if !t.options.Breadcrumbs && r.Type != typeExit {
		r.Crumbs = nil
	}
	t.logs.forget(open.scope)
	switch open.scope {
	case scopeInit:
		t.initSent = true
	case PhaseRestore:
		t.restored = true
	}
	return r
}
