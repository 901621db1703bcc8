package reporter

import (
	"context"
	"fmt"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/crash"
	"cdk-serverless-blocks/crash-reporter/internal/sentry"
	"cdk-serverless-blocks/crash-reporter/internal/state"
)

// rereadInterval is how often a stored DSN that Sentry refuses is read anew.
const rereadInterval = 5 * time.Minute

// Mapping frames may take this long for one crash, and this long when the process must end soon.
const (
	sourceTime        = 300 * time.Millisecond
	hurriedSourceTime = 100 * time.Millisecond
	hurry             = 900 * time.Millisecond
)

// queued is an event on its way.
type queued struct {
	id          string
	payload     []byte
	fingerprint string
	suppressed  int
	spooled     bool
}

// takeLeftovers queues what earlier processes could not send.
func (r *Reporter) takeLeftovers() {
	items, dropped := r.o.Spool.Leftovers(r.o.Now())
	for _, item := range items {
		r.queue = append(r.queue, queued{id: item.ID, payload: item.Payload, spooled: true})
	}
	r.o.Ledger.Settle(len(items), dropped)
}

// admitted is a crash that is to be sent.
type admitted struct {
	report      crash.Report
	fingerprint string
	suppressed  int
}

// admit enters crashes in the book and keeps those that are to be sent. It does
// not wait for a delivery that is under way: crashes come in while Sentry is slow.
// The taking is under the same lock: otherwise Flush or Shutdown could come
// between the taking and the keeping, find nothing, and let the environment be
// frozen or end.
func (r *Reporter) admit(take func() []crash.Report) {
	r.admitMu.Lock()
	defer r.admitMu.Unlock()
	reports := take()
	for _, report := range reports {
		var reason state.Reason
		if !r.sampled(report) {
			reason = state.Sampled
		}
		for _, rule := range r.o.Ignore {
			if rule.Matches(report) {
				reason = state.Ignored
			}
		}
		fingerprint := fingerprintOf(r.o.Function().Name, report)
		decision := r.o.Ledger.Admit(state.Crash{Fingerprint: fingerprint, Init: report.Phase == crash.PhaseInit, InitRetry: report.InitRetry,
			Lost: report.ReportsDropped, HoldBack: reason}, r.o.Now())
		if decision.Send {
			r.arrived = append(r.arrived, admitted{report, fingerprint, decision.Suppressed})
		} else {
			r.keepLast(fingerprint, report, decision.Reason)
		}
	}
	if len(reports) > 0 {
		r.meter(reports[0].Type)
	}
}

// deliver makes events of the crashes that arrived and sends what is queued. It
// is false when something could not be sent.
func (r *Reporter) deliver(ctx context.Context, timeout time.Duration, urgent bool) bool {
	r.admitMu.Lock()
	arrived := r.arrived
	r.arrived = nil
	r.admitMu.Unlock()
	if len(arrived)+len(r.queue) == 0 || (!urgent && len(arrived) == 0 && r.o.Now().Before(r.retryAt)) {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	sending := true
	for _, a := range arrived {
		for sending && len(r.queue) >= maxQueue && ctx.Err() == nil { // makes room
			sending = r.sendFirst(ctx)
		}
		r.queueEvent(ctx, a)
	}
	for sending && len(r.queue) > 0 && ctx.Err() == nil {
		sending = r.sendFirst(ctx)
	}
	r.meter("")
	return len(r.queue) == 0
}

func (r *Reporter) queueEvent(ctx context.Context, a admitted) {
	report, fingerprint, suppressed := a.report, a.fingerprint, a.suppressed
	if len(r.queue) >= maxQueue {
		r.o.Ledger.HoldBack(fingerprint, suppressed, state.Queue)
		return
	}
	id := newEventID()
	if r.o.Source != nil {
		limit := sourceTime
		if end, bounded := ctx.Deadline(); bounded && time.Until(end) < hurry {
			limit = hurriedSourceTime
		}
		r.o.Source(&report, limit)
	}
	r.redact(&report)
	payload := sentry.Fit(sentry.Encode(sentry.BuildEvent(id, r.o.Function(), report, suppressed)), maxPayload)
	r.queue = append(r.queue, queued{id: id, payload: payload, fingerprint: fingerprint, suppressed: suppressed, spooled: r.o.Spool.Save(id, payload)})
}

// redact removes secrets from free text. What the event is made
// of (names, files, the fingerprint) stays: it holds none, and without it the
// event is of no use.
func (r *Reporter) redact(report *crash.Report) {
	report.Value = r.o.Redactor.Text(report.Value)
	for i := range report.Exceptions {
		e := &report.Exceptions[i]
		e.Value = r.o.Redactor.Text(e.Value)
		e.Code = r.o.Redactor.Text(e.Code)
		for name, value := range e.Properties {
			e.Properties[name] = r.o.Redactor.Named(name, value)
		}
		for j := range e.Frames {
			f := &e.Frames[j]
			f.Source = r.o.Redactor.Code(f.Source)
			for _, list := range [][]string{f.Pre, f.Post} {
				for k := range list {
					list[k] = r.o.Redactor.Code(list[k])
				}
			}
		}
	}
	for i := range report.Crumbs {
		report.Crumbs[i].Text = r.o.Redactor.Text(report.Crumbs[i].Text)
	}
}

// sendFirst sends the head of the queue. It returns false when there is no point in going on now.
func (r *Reporter) sendFirst(ctx context.Context) bool {
	q := r.queue[0]
	if r.o.Ledger.Limited(r.o.Now()) {
		r.drop(q, state.Silenced)
		return true
	}
	if r.dsn == nil && !r.readDSN(ctx) {
		r.later()
		return false
	}
	result := r.send(ctx, sentry.Message{ID: q.id, Event: q.payload})
	if result.Outcome == sentry.Unauthorized && r.rotated(ctx) {
		result = r.send(ctx, sentry.Message{ID: q.id, Event: q.payload})
	}
	switch result.Outcome {
	case sentry.Delivered:
		r.sentNow[q.fingerprint] = true
		r.forget(q)
		r.o.Ledger.Sent()
	case sentry.Limited:
		r.drop(q, state.Throttled)
	case sentry.Unauthorized:
		r.logOnce(fmt.Sprintf("Sentry refuses the key of the DSN: %v", result.Err))
		if r.o.DSNIsStored { // whoever changed the key changes the stored value, sooner or later
			r.later()
			return false
		}
		r.drop(q, state.Refused)
	case sentry.Rejected:
		r.logOnce(fmt.Sprintf("Sentry refused a crash: %v", result.Err))
		r.drop(q, state.Refused)
	case sentry.Failed:
		r.logOnce(fmt.Sprintf("a crash could not be sent yet: %v", result.Err))
		r.later()
		return false
	}
	r.backoff = 0
	return true
}

// send posts a message with what was held back since the last one.
func (r *Reporter) send(ctx context.Context, message sentry.Message) sentry.Result {
	unreported := r.o.Ledger.Unreported()
	message.Report = clientReport(unreported, r.o.Now())
	result := r.o.Send(ctx, *r.dsn, message)
	if result.Silence > 0 && r.o.Ledger.Limit(r.o.Now().Add(result.Silence), r.o.Now()) {
		r.o.Log(fmt.Sprintf("Sentry wants no events for %.0f s: crashes are counted until then", result.Silence.Seconds()))
	}
	if result.ReportTaken {
		r.o.Ledger.Reported(unreported, r.o.Now())
	}
	return result
}

func (r *Reporter) readDSN(ctx context.Context) bool {
	dsn, err := r.o.DSN(ctx)
	if err != nil {
		r.logOnce("the DSN could not be read: " + err.Error())
		return false
	}
	r.dsn = &dsn
	return true
}

// rotated reads a stored DSN anew, and says whether there is another one now.
func (r *Reporter) rotated(ctx context.Context) bool {
	if !r.o.DSNIsStored || r.o.Now().Before(r.rereadAt) {
		return false
	}
	r.rereadAt = r.o.Now().Add(rereadInterval)
	old := *r.dsn
	return r.readDSN(ctx) && *r.dsn != old
}

// drop gives up an event and counts it.
func (r *Reporter) drop(q queued, reason state.Reason) {
	r.forget(q)
	r.o.Ledger.HoldBack(q.fingerprint, q.suppressed, reason)
}

func (r *Reporter) forget(q queued) {
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
