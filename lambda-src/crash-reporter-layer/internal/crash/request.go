package crash

import (
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/stack"
	"cdk-serverless-blocks/crash-reporter/internal/telemetry"
)

// request is an invocation that telemetry has announced.
type request struct {
	id       string
	start    time.Time
	trace    string
	span     string
	done     bool
	reported bool // an incident was made of it, sent or not
}

// begin notes the start of a request. Lambda tries an asynchronous invocation
// again under the same id: what was reported of the previous try says nothing about this one.
func (t *Tracker) begin(e telemetry.Event) {
	r := t.request(e.RequestID)
	if r == nil {
		return
	}
	if r.done && t.find(r.id) == nil {
		r.done, r.reported = false, false
		t.logs.forget(r.id)
	}
	r.start, r.trace, r.span = e.Time, e.TraceValue, e.SpanID
}

// request returns the record of a request, forgetting the oldest when there are too many.
func (t *Tracker) request(id string) *request {
	if id == "" {
		return nil
	}
	if r := t.known(id); r != nil {
		return r
	}
	if len(t.requests) >= maxRequests {
		t.evict()
	}
	r := &request{id: id}
	t.requests = append(t.requests, r)
	return r
}

// evict forgets the oldest request whose crash is not still being put together.
func (t *Tracker) evict() {
	for i, r := range t.requests {
		if t.find(r.id) == nil {
			t.logs.forget(r.id)
			t.requests = append(t.requests[:i], t.requests[i+1:]...)
			return
		}
	}
}

func (t *Tracker) known(id string) *request {
	for _, r := range t.requests {
		if r.id == id {
			return r
		}
	}
	return nil
}

func (t *Tracker) active() []*request {
	var active []*request
	for _, r := range t.requests {
		if !r.done {
			active = append(active, r)
		}
	}
	return active
}

// scopeOf says which request a log line belongs to.
func (t *Tracker) scopeOf(line stack.Line) string {
	if t.known(line.RequestID) != nil {
		return line.RequestID
	}
	active := t.active()
	switch {
	case len(active) == 1:
		return active[0].id
	case len(active) > 0: // several
		return scopeShared
	case len(t.pending) > 0:
		return t.pending[len(t.pending)-1].scope // a late line of the crash that is waiting
	case t.init == initDone || len(t.requests) > 0:
		return scopeIdle
	}
	return scopeInit
}
