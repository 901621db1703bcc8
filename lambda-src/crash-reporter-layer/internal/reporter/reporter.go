// Package reporter carries a crash from telemetry to Sentry: tracker, ledger,
// spool, transport.
package reporter

import (
	"context"
	"fmt"
	"sync"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/crash"
	"cdk-serverless-blocks/crash-reporter/internal/redact"
	"cdk-serverless-blocks/crash-reporter/internal/sentry"
	"cdk-serverless-blocks/crash-reporter/internal/state"
	"cdk-serverless-blocks/crash-reporter/internal/telemetry"
)

const (
	sendTimeout = 3 * time.Second
	// shutdownSendTimeout and hardStop: Lambda kills at 2,000 ms.
	shutdownSendTimeout = 1200 * time.Millisecond
	hardStop            = 1700 * time.Millisecond
	// lateSignals is how long after a shutdown for failure telemetry may still come.
	lateSignals = 300 * time.Millisecond
	lateQuiet   = 100 * time.Millisecond
	// inFlightGrace is what an event already being sent at shutdown still gets.
	inFlightGrace = 700 * time.Millisecond
	maxQueue      = 8
	maxPayload    = 64 << 10
	firstRetry    = time.Second
	lastRetry     = time.Minute
)

// DSNSource gives the DSN when the first crash needs it.
type DSNSource func(ctx context.Context) (sentry.DSN, error)

// Options are the parts a Reporter works with.
type Options struct {
	Tracker    *crash.Tracker
	Ledger     *state.Ledger
	Spool      *state.Spool
	Redactor   *redact.Redactor
	DSN        DSNSource
	Send       func(ctx context.Context, dsn sentry.DSN, id string, payload []byte) sentry.Result
	Function   func() sentry.Function
	SampleRate float64
	Now        func() time.Time
	Log        func(string)
}

// queued is an event on its way.
type queued struct {
	id          string
	payload     []byte
	fingerprint string
	suppressed  int
	spooled     bool
}

// Reporter is fed by the telemetry listener and driven by Run.
type Reporter struct {
	o    Options
	wake chan struct{}

	mu       sync.Mutex
	lastSeen time.Time            // of telemetry
	done     map[string]time.Time // requests whose runtimeDone was seen
	changed  chan struct{}        // closed and replaced at each observation

	inFlight context.CancelFunc // ends what Run is sending

	sendMu  sync.Mutex // one event at a time
	queue   []queued
	dsn     *sentry.DSN
	retryAt time.Time
	backoff time.Duration
	logged  map[string]bool
}

// New returns a Reporter.
func New(o Options) *Reporter {
	return &Reporter{o: o, wake: make(chan struct{}, 1), done: map[string]time.Time{}, changed: make(chan struct{}), logged: map[string]bool{}}
}

// WantsLog is part of telemetry.Sink.
func (r *Reporter) WantsLog(raw []byte) bool {
	r.saw("")
	return r.o.Tracker.WantsLog(raw)
}

// Observe is part of telemetry.Sink.
func (r *Reporter) Observe(e telemetry.Event) {
	r.o.Tracker.Observe(e, r.o.Now())
	if e.Type == "platform.runtimeDone" {
		r.saw(e.RequestID)
	} else {
		r.saw("")
	}
	if !r.o.Tracker.NextDue().IsZero() {
		r.poke()
	}
}

func (r *Reporter) saw(doneRequest string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastSeen = r.o.Now()
	if doneRequest == "" {
		return
	}
	if len(r.done) > 64 {
		clear(r.done)
	}
	r.done[doneRequest] = r.lastSeen
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *Reporter) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run sends crashes when they are due, until the context ends.
func (r *Reporter) Run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.mu.Lock()
	r.inFlight = cancel
	r.mu.Unlock()
	r.sendMu.Lock()
	for _, item := range r.o.Spool.Leftovers(r.o.Now()) {
		r.queue = append(r.queue, queued{id: item.ID, payload: item.Payload, spooled: true})
	}
	r.sendMu.Unlock()
	for ctx.Err() == nil {
		r.work(ctx, r.due, sendTimeout, false)
		var timer <-chan time.Time // none while nothing is pending: SnapStart copies it
		if wait, pending := r.untilNext(); pending {
			timer = time.After(wait)
		}
		select {
		case <-ctx.Done():
		case <-r.wake:
		case <-timer:
		}
	}
}

func (r *Reporter) untilNext() (wait time.Duration, pending bool) {
	now := r.o.Now()
	if due := r.o.Tracker.NextDue(); !due.IsZero() {
		wait, pending = due.Sub(now), true
	}
	r.sendMu.Lock()
	defer r.sendMu.Unlock()
	if len(r.queue) > 0 && (!pending || r.retryAt.Sub(now) < wait) {
		wait, pending = r.retryAt.Sub(now), true
	}
	return max(wait, time.Millisecond), pending
}

// WaitDone waits until Lambda said that the request's runtime is done.
func (r *Reporter) WaitDone(ctx context.Context, requestID string) bool {
	for {
		r.mu.Lock()
		_, done := r.done[requestID]
		changed := r.changed
		r.mu.Unlock()
		if done {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		}
	}
}

// Flush sends what is due now and returns when it is sent or the context ends.
// It does not try again what failed before: an invocation waits for it.
func (r *Reporter) Flush(ctx context.Context) {
	r.sendMu.Lock() // Run may be sending just this request's error
	defer r.sendMu.Unlock()
	if reports := r.due(); len(reports) > 0 {
		r.deliver(ctx, reports, sendTimeout, false)
	}
}

// Shutdown sends everything. budget is what Lambda leaves until the kill.
func (r *Reporter) Shutdown(reason string, budget time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), min(hardStop, max(budget-300*time.Millisecond, 100*time.Millisecond)))
	defer cancel()
	r.mu.Lock()
	if r.inFlight != nil {
		// What is on its way may finish, but must leave time for a second try.
		defer time.AfterFunc(inFlightGrace, r.inFlight).Stop()
	}
	r.mu.Unlock()
	if reason != "spindown" {
		r.waitQuiet(ctx)
	}
	r.work(ctx, func() []crash.Report { return r.o.Tracker.Shutdown(reason, r.o.Now()) }, shutdownSendTimeout, true)
}

// waitQuiet lets telemetry that was already on its way arrive. Lambda emits
// runtimeDone before SHUTDOWN, but delivers it through a 25 ms buffer.
func (r *Reporter) waitQuiet(ctx context.Context) {
	start := r.o.Now()
	for ctx.Err() == nil {
		r.mu.Lock()
		last := r.lastSeen
		r.mu.Unlock()
		now := r.o.Now()
		known := !r.o.Tracker.NextDue().IsZero() || (r.o.Tracker.Told() && now.Sub(start) >= lateQuiet)
		if (known && now.Sub(last) >= lateQuiet) || now.Sub(start) >= lateSignals {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (r *Reporter) due() []crash.Report { return r.o.Tracker.Due(r.o.Now()) }

// work takes reports and sends them. They are taken under the lock: otherwise
// Flush or Shutdown could come between the taking and the sending, find
// nothing, and let the environment be frozen or end.
func (r *Reporter) work(ctx context.Context, take func() []crash.Report, timeout time.Duration, urgent bool) {
	r.sendMu.Lock()
	defer r.sendMu.Unlock()
	r.deliver(ctx, take(), timeout, urgent)
}

// deliver turns reports into events and sends what is queued.
func (r *Reporter) deliver(ctx context.Context, reports []crash.Report, timeout time.Duration, urgent bool) {
	for _, report := range reports {
		r.enqueue(report)
	}
	if len(r.queue) == 0 || (!urgent && len(reports) == 0 && r.o.Now().Before(r.retryAt)) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for len(r.queue) > 0 && ctx.Err() == nil {
		if !r.sendFirst(ctx) {
			return
		}
	}
}

func (r *Reporter) enqueue(report crash.Report) {
	fn := r.o.Function()
	if !r.sampled(report) {
		return
	}
	fingerprint := fingerprintOf(fn.Name, report)
	send, suppressed := r.o.Ledger.Admit(state.Crash{Fingerprint: fingerprint, Init: report.Phase == crash.PhaseInit, InitRetry: report.InitRetry, Lost: report.ReportsDropped}, r.o.Now())
	if !send {
		return
	}
	if len(r.queue) >= maxQueue {
		r.o.Ledger.Refused(fingerprint, suppressed)
		return
	}
	id := newEventID()
	r.redact(&report)
	payload, err := sentry.Encode(sentry.BuildEvent(id, fn, report, suppressed))
	if err != nil {
		r.logOnce("a crash could not be encoded")
		return
	}
	payload = sentry.Fit(payload, maxPayload)
	r.queue = append(r.queue, queued{id: id, payload: payload, fingerprint: fingerprint, suppressed: suppressed, spooled: r.o.Spool.Save(id, payload)})
}

// redact takes secrets out of what somebody wrote freely. What the event is made
// of (names, files, the fingerprint) stays: it holds none, and without it the
// event is of no use.
func (r *Reporter) redact(report *crash.Report) {
	report.Value = r.o.Redactor.Text(report.Value)
	for i := range report.Exceptions {
		e := &report.Exceptions[i]
		e.Value = r.o.Redactor.Text(e.Value)
		for j := range e.Frames {
			e.Frames[j].Source = r.o.Redactor.Code(e.Frames[j].Source)
		}
	}
	for i := range report.Crumbs {
		report.Crumbs[i].Text = r.o.Redactor.Text(report.Crumbs[i].Text)
	}
}

// sendFirst sends the head of the queue. It returns false when it is no use to go on now.
func (r *Reporter) sendFirst(ctx context.Context) bool {
	q := r.queue[0]
	if r.o.Ledger.Limited(r.o.Now()) {
		r.drop(q, true)
		return true
	}
	if r.dsn == nil {
		dsn, err := r.o.DSN(ctx)
		if err != nil {
			r.logOnce("the DSN could not be read: " + err.Error())
			r.later()
			return false
		}
		r.dsn = &dsn
	}
	result := r.o.Send(ctx, *r.dsn, q.id, q.payload)
	if result.Silence > 0 {
		r.o.Ledger.Limit(r.o.Now().Add(result.Silence), r.o.Now())
	}
	switch result.Outcome {
	case sentry.Delivered:
		r.drop(q, false)
	case sentry.Limited:
		r.drop(q, true)
	case sentry.Rejected:
		r.logOnce(fmt.Sprintf("Sentry refused a crash: %v", result.Err))
		r.drop(q, false)
	case sentry.Failed:
		r.logOnce(fmt.Sprintf("a crash could not be sent yet: %v", result.Err))
		r.later()
		return false
	}
	r.backoff = 0
	return true
}

func (r *Reporter) drop(q queued, count bool) {
	if count && q.fingerprint != "" {
		r.o.Ledger.Refused(q.fingerprint, q.suppressed)
	}
	if q.spooled {
		r.o.Spool.Delete(q.id, len(q.payload))
	}
	r.queue = append(r.queue[:0], r.queue[1:]...)
}

func (r *Reporter) later() {
	r.backoff = min(max(r.backoff*2, firstRetry), lastRetry)
	r.retryAt = r.o.Now().Add(r.backoff)
}

func (r *Reporter) logOnce(text string) {
	if !r.logged[text] && len(r.logged) < 16 {
		r.logged[text] = true
		r.o.Log(r.o.Redactor.Text(text))
	}
}
