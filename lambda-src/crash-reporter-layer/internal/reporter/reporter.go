// Package reporter carries a crash from telemetry to Sentry: tracker, ledger,
// spool, transport.
package reporter

import (
	"context"
	"io"
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
	// It counts from the last byte that came: a long record may be on its way in front of the end.
	lateSignals = 300 * time.Millisecond
	lateQuiet   = 100 * time.Millisecond
	// mostLate leaves time for the delivery.
	mostLate = 900 * time.Millisecond
	// inFlightGrace is what an event already being sent at shutdown still gets.
	inFlightGrace = 700 * time.Millisecond
	maxQueue      = 8
	maxPayload    = 64 << 10
	firstRetry    = time.Second
	lastRetry     = time.Minute
)

// mutex can be waited for with a limit.
type mutex chan struct{}

func (m mutex) Lock()   { m <- struct{}{} }
func (m mutex) Unlock() { <-m }

func (m mutex) lockBefore(ctx context.Context) bool {
	select {
	case m <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// DSNSource gives the DSN when the first crash needs it.
type DSNSource func(ctx context.Context) (sentry.DSN, error)

// Options are the parts a Reporter works with.
type Options struct {
	Tracker  *crash.Tracker
	Ledger   *state.Ledger
	Spool    *state.Spool
	Redactor *redact.Redactor
	DSN      DSNSource
	// DSNIsStored: the DSN is read from where it is kept, so that another value may be there later.
	DSNIsStored bool
	Send        func(ctx context.Context, dsn sentry.DSN, message sentry.Message) sentry.Result
	Ignore      []crash.IgnoreRule
	// Source adds the author's lines to a report, within a time; nil adds none.
	Source func(report *crash.Report, limit time.Duration)
	// PerMinute is the ledger's limit, for the log.
	PerMinute int
	// Metrics writes CloudWatch metrics into the log.
	Metrics bool
	// Name is a second dimension of the metrics, over many functions; empty for none.
	Name       string
	Function   func() sentry.Function
	SampleRate float64
	Now        func() time.Time
	Log        func(string)
	// Print writes a line as it is.
	Print func(string)
}

// Reporter is fed by the telemetry listener and driven by Run.
type Reporter struct {
	o    Options
	wake chan struct{}

	mu       sync.Mutex
	lastSeen time.Time            // of telemetry
	done     map[string]time.Time // requests whose runtimeDone was seen
	drops    int                  // reports of dropped telemetry
	changed  chan struct{}        // closed and replaced at each observation

	inFlight context.CancelFunc // ends what Run is sending

	admitMu sync.Mutex          // taken after sendMu
	arrived []admitted          // not queued yet
	last    map[string]heldBack // by fingerprint: the last crash that was held back
	meterMu sync.Mutex
	metered state.Account // the book as the metrics have it

	sendMu   mutex // one event at a time
	queue    []queued
	dsn      *sentry.DSN
	rereadAt time.Time // when the DSN may be read again
	retryAt  time.Time
	backoff  time.Duration
	logged   map[string]bool
	sentNow  map[string]bool // fingerprints of which this process sent one
	began    state.Account   // the book when this process began
	told     state.Account   // the book as it was last put into the log
	toldAt   time.Time
}

// New returns a Reporter.
func New(o Options) *Reporter {
	r := &Reporter{o: o, wake: make(chan struct{}, 1), sendMu: make(mutex, 1), done: map[string]time.Time{}, changed: make(chan struct{}), logged: map[string]bool{}, last: map[string]heldBack{}, sentNow: map[string]bool{}}
	r.began = o.Ledger.Account()
	r.told, r.metered, r.toldAt = r.began, r.began, o.Now()
	return r
}

// WantsLog is part of telemetry.Sink.
func (r *Reporter) WantsLog(raw []byte) bool {
	r.saw("")
	return r.o.Tracker.WantsLog(raw)
}

// Observe is part of telemetry.Sink.
func (r *Reporter) Observe(e telemetry.Event) {
	r.o.Tracker.Observe(e, r.o.Now())
	switch e.Type {
	case "platform.runtimeDone":
		r.saw(e.RequestID)
	case "platform.logsDropped", "platform.telemetryDropped":
		r.sawDrop()
	default:
		r.saw("")
	}
	if due := r.o.Tracker.NextDue(); !due.IsZero() {
		if !due.After(r.o.Now()) {
			r.admit(r.due)
		}
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
	r.wakeWaiting()
}

// Hears notes when a post of telemetry comes in, byte by byte: one record may be long, and Lambda busy.
func (r *Reporter) Hears(post io.Reader) io.Reader { return hearing{post, r} }

type hearing struct {
	post io.Reader
	r    *Reporter
}

func (h hearing) Read(p []byte) (int, error) {
	n, err := h.post.Read(p)
	h.r.saw("")
	return n, err
}

func (r *Reporter) sawDrop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastSeen = r.o.Now()
	r.drops++
	r.wakeWaiting()
}

func (r *Reporter) wakeWaiting() {
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
	r.takeLeftovers()
	r.meter("")
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

// WaitEnd waits until Lambda has said that the request's runtime is done, and
// returns when that was: once, because the next try of the invocation has the same id. ok is false when the
// context ends first, or when telemetry was dropped after that many drops: then the end may never come.
func (r *Reporter) WaitEnd(ctx context.Context, requestID string, drops int) (at time.Time, ok bool) {
	for {
		r.mu.Lock()
		at, done := r.done[requestID]
		delete(r.done, requestID)
		dropped, changed := r.drops > drops, r.changed
		r.mu.Unlock()
		if done || dropped {
			return at, done
		}
		select {
		case <-ctx.Done():
			return time.Time{}, false
		case <-changed:
		}
	}
}

// Drops is how often Lambda said that it dropped telemetry.
func (r *Reporter) Drops() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.drops
}

// Flush sends what is due now and returns when it is sent or the context ends:
// then it is false. It does not retry what failed before: an invocation is
// waiting for it.
func (r *Reporter) Flush(ctx context.Context) bool {
	if !r.sendMu.lockBefore(ctx) { // Run may be sending just this request's error, to a server that hangs
		return false
	}
	defer r.sendMu.Unlock()
	r.admit(r.due)
	return !r.hasArrived() || r.deliver(ctx, sendTimeout, false)
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
	r.closeBook(ctx, reason == "spindown")
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
		heard := last
		if heard.Before(start) {
			heard = start
		}
		if (known && now.Sub(last) >= lateQuiet) || now.Sub(heard) >= lateSignals || now.Sub(start) >= mostLate {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (r *Reporter) due() []crash.Report { return r.o.Tracker.Due(r.o.Now()) }

func (r *Reporter) hasArrived() bool {
	r.admitMu.Lock()
	defer r.admitMu.Unlock()
	return len(r.arrived) > 0
}

// work admits crashes and sends what is to be sent.
func (r *Reporter) work(ctx context.Context, take func() []crash.Report, timeout time.Duration, urgent bool) {
	r.sendMu.Lock()
	defer r.sendMu.Unlock()
	r.admit(take)
	r.deliver(ctx, timeout, urgent)
	r.tellSometimes()
}
