package crash

import (
	"strings"
	"sync"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/stack"
	"cdk-serverless-blocks/crash-reporter/internal/telemetry"
)

const (
	maxRequests = 32
	maxReports  = 8
	// invokeQuiet and initQuiet are how long after a signal the next one of the
	// same crash is waited for. Lambda's own buffer is 25 ms.
	invokeQuiet = 50 * time.Millisecond
	initQuiet   = 150 * time.Millisecond
	// maxQuiet ends the waiting when signals never stop.
	maxQuiet = 500 * time.Millisecond
)

// Options are what the user chose.
type Options struct {
	// Self is this extension's name: its own failure is not another's.
	Self string
	// HandlerErrors also reports errors that the handler threw while the process lived on.
	HandlerErrors bool
	// Breadcrumbs keeps the last log lines for the report.
	Breadcrumbs bool
	// OwnFailure is called when Lambda says that this extension failed.
	OwnFailure func(state, errorType string)
}

type initState uint8

const (
	initUnknown initState = iota
	initRunning
	initDone
	initFailed
)

// incident is a crash whose signals are still coming in.
type incident struct {
	report Report
	scope  string
	since  time.Time
	due    time.Time
}

// Tracker follows one execution environment.
type Tracker struct {
	mu       sync.Mutex
	options  Options
	env      Environment
	init     initState
	retry    bool // this is the second initialization, within an invocation
	initSent bool // the failed initialization has been reported
	requests []*request
	pending  []*incident
	logs     logbook
	guilty   telemetry.Event // the last failing extension
	dropped  int
	lost     float64 // log records that Lambda dropped
	sharedAt time.Time
	restored bool // a restore failure was reported
}

// New returns a Tracker.
func New(options Options) *Tracker {
	return &Tracker{options: options, logs: logbook{keepCrumbs: options.Breadcrumbs}}
}

// WantsLog says, without parsing, whether a function record could matter.
func (t *Tracker) WantsLog(raw []byte) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.logs.wants(raw)
}

// Observe takes one event.
func (t *Tracker) Observe(e telemetry.Event, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.Time.IsZero() {
		e.Time = now
	}
	switch e.Type {
	case "function":
		line := stack.ReadLine(e.Log)
		scope := t.scopeOf(line)
		if scope == scopeShared {
			t.sharedAt = now
		}
		t.logs.add(e, scope, line)
		t.lateError(scope, e, now)
	case "platform.initStart", "platform.restoreStart":
		t.started(e)
	case "platform.initRuntimeDone", "platform.initReport":
		t.initSignal(e, now)
	case "platform.restoreRuntimeDone", "platform.restoreReport":
		t.restoreSignal(e, now)
	case "platform.start":
		t.begin(e)
	case "platform.runtimeDone":
		t.requestSignal(e, now, true)
	case "platform.report":
		t.requestSignal(e, now, false)
	case "platform.extension":
		t.extensionSignal(e)
	case "platform.logsDropped", "platform.telemetryDropped":
		t.lost += e.DroppedRecords
	}
}

func (t *Tracker) started(e telemetry.Event) {
	t.env = Environment{Runtime: e.Runtime, InstanceID: e.InstanceID, Version: e.Version, InitType: first(e.InitType, t.env.InitType)}
	if strings.HasPrefix(e.Runtime, "provided") {
		t.logs.keepCrumbs = true // a custom runtime's exit has no other description, see finish
	}
	if e.Type == "platform.initStart" {
		t.init, t.initSent, t.retry = initRunning, false, e.Phase == PhaseInvoke
	}
}

func (t *Tracker) initSignal(e telemetry.Event, now time.Time) {
	if e.Phase == PhaseInvoke {
		t.retry = true
	}
	if !e.Failed() {
		if e.Status == "success" && e.Type == "platform.initRuntimeDone" {
			t.init = initDone
			t.logs.forget(scopeInit)
		}
		return
	}
	t.init = initFailed
	if !t.initSent {
		t.signal(scopeInit, PhaseInit, e, now, initQuiet)
	}
}

func (t *Tracker) restoreSignal(e telemetry.Event, now time.Time) {
	if e.Failed() && !t.restored {
		t.signal(PhaseRestore, PhaseRestore, e, now, initQuiet)
	}
}

// requestSignal takes runtimeDone and report, which may both say how a request ended.
func (t *Tracker) requestSignal(e telemetry.Event, now time.Time, runtimeDone bool) {
	if e.RequestID == "" {
		return
	}
	r := t.request(e.RequestID)
	if t.init == initFailed && e.Failed() {
		// The invocation that found a broken environment: the same crash as the init's.
		t.joinInit(r, e, now)
		return
	}
	if open := t.find(r.id); open != nil {
		open.merge(e)
		open.wait(now, invokeQuiet)
	} else if e.Failed() && !r.reported {
		phase := PhaseInvoke
		if t.init == initRunning {
			phase = PhaseInit // no event said how the initialization ended
		}
		r.reported = true
		t.signal(r.id, phase, e, now, invokeQuiet)
	} else if e.Status == "success" && !r.reported && !r.done {
		t.succeeded(r, e, now)
	}
	if runtimeDone || e.Status != "" {
		r.done = true
	}
}

// succeeded: to the platform an error thrown by the handler is a success.
func (t *Tracker) succeeded(r *request, e telemetry.Event, now time.Time) {
	found := t.logs.finding(r.id)
	if t.options.HandlerErrors && found.Runtime {
		r.reported = true
		t.signal(r.id, PhaseInvoke, e, now, 0)
		return
	}
	t.logs.forget(r.id)
}

// lateError: Lambda promises no order between a function's log and the end of
// its runtime. A line that names its request can still be reported.
func (t *Tracker) lateError(scope string, e telemetry.Event, now time.Time) {
	r := t.known(scope)
	if !t.options.HandlerErrors || r == nil || !r.done || r.reported {
		return
	}
	if t.logs.finding(r.id).Runtime {
		r.reported = true
		t.signal(r.id, PhaseInvoke, telemetry.Event{Time: e.Time, Status: "success"}, now, 0)
	}
}

func (t *Tracker) joinInit(r *request, e telemetry.Event, now time.Time) {
	r.done, r.reported = true, true
	if open := t.find(scopeInit); open != nil {
		open.merge(e)
		open.report.RequestID, open.report.Trace, open.report.SpanID = r.id, r.trace, r.span
		open.wait(now, invokeQuiet)
	} else if !t.initSent {
		t.signal(scopeInit, PhaseInit, e, now, invokeQuiet)
	}
}

func (t *Tracker) extensionSignal(e telemetry.Event) {
	failed := strings.HasPrefix(e.ErrorType, "Extension.") || strings.HasSuffix(e.State, "Error") || strings.HasSuffix(e.State, "Failed")
	if !failed {
		return
	}
	if e.Name == t.options.Self {
		if t.options.OwnFailure != nil {
			t.options.OwnFailure(e.State, e.ErrorType)
		}
		return
	}
	t.guilty = e
}

// signal opens an incident or adds to it.
func (t *Tracker) signal(scope, phase string, e telemetry.Event, now time.Time, quiet time.Duration) {
	open := t.find(scope)
	if open == nil {
		if len(t.pending) >= maxReports {
			t.dropped++
			return
		}
		open = &incident{scope: scope, since: now, report: Report{Time: e.Time, Phase: phase, InitRetry: t.retry && phase == PhaseInit}}
		if r := t.known(scope); r != nil {
			open.report.RequestID, open.report.Trace, open.report.SpanID = r.id, r.trace, r.span
		}
		open.report.Exception = e.Status == "success"
		t.pending = append(t.pending, open)
	}
	open.merge(e)
	open.wait(now, quiet)
}

func (t *Tracker) find(scope string) *incident {
	for _, open := range t.pending {
		if open.scope == scope {
			return open
		}
	}
	return nil
}

func (i *incident) wait(now time.Time, quiet time.Duration) {
	i.due = now.Add(quiet)
	if limit := i.since.Add(maxQuiet); i.due.After(limit) {
		i.due = limit
	}
}

// merge adds what another signal of the same crash knows.
func (i *incident) merge(e telemetry.Event) {
	r := &i.report
	if e.Failed() && (r.Status == "" || r.Status == "success" || (r.Status == "error" && e.Status == "timeout")) {
		r.Status = e.Status
	}
	if r.ErrorType == "" || ((r.ErrorType == typeExit || r.ErrorType == typeUnknown) && e.ErrorType != "" && e.ErrorType != typeUnknown) {
		r.ErrorType = e.ErrorType
	}
	r.DurationMs = max(r.DurationMs, e.DurationMs)
	r.MemorySizeMB = max(r.MemorySizeMB, e.MemorySizeMB)
	r.MaxMemoryUsedMB = max(r.MaxMemoryUsedMB, e.MaxMemoryUsedMB)
}
