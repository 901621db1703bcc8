package sentry

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/http1"
	"cdk-serverless-blocks/crash-reporter/internal/wire"
)

const (
	gzipFrom = 1 << 10
	// retryBudget is the least time left for which a second attempt is worth it.
	retryBudget = 600 * time.Millisecond
)

// Outcome is what became of an event.
type Outcome int

const (
	// Delivered: the server has it.
	Delivered Outcome = iota
	// Rejected: the server will never take it.
	Rejected
	// Limited: the server wants silence and threw it away.
	Limited
	// Failed: not delivered, worth another try later.
	Failed
	// Unauthorized: the server does not know the key.
	Unauthorized
)

// Result is an outcome and what the server asks for.
type Result struct {
	Outcome Outcome
	// Silence is how long the server wants no errors; it may come with any outcome.
	Silence time.Duration
	// ReportTaken: the server has the client report, too.
	ReportTaken bool
	// Err says why it failed. It never holds the DSN.
	Err error
}

// Message is what one envelope holds: an event, a client report, or both.
type Message struct {
	ID     string
	Event  []byte
	Report []byte
}

// Transport posts envelopes.
type Transport struct {
	HTTP *http1.Client
	Now  func() time.Time

	noReports bool // the server is too old for client reports
}

// Send posts a message. The context bounds everything; a network error or a 5xx
// is tried once more if there is time. A server that refuses the client report
// gets the event without it, and no other report.
func (t *Transport) Send(ctx context.Context, dsn DSN, m Message) Result {
	if t.noReports {
		m.Report = nil
	}
	if len(m.Event) == 0 && len(m.Report) == 0 {
		return Result{Outcome: Rejected, Err: errors.New("nothing to send")}
	}
	result := t.send(ctx, dsn, m)
	if len(m.Report) == 0 {
		return result
	}
	if result.Outcome != Rejected {
		result.ReportTaken = result.Outcome == Delivered
		return result
	}
	if len(m.Event) == 0 {
		t.noReports = true
		return result
	}
	m.Report = nil
	if result = t.send(ctx, dsn, m); result.Outcome == Delivered {
		t.noReports = true
	}
	return result
}

func (t *Transport) send(ctx context.Context, dsn DSN, m Message) Result {
	var result Result
	slimmed := false
	for attempt := 0; attempt < 2; attempt++ {
		resp, err := t.post(ctx, dsn, m)
		if err != nil {
			result = Result{Outcome: Failed, Err: err}
		} else {
			result = judge(resp, t.Now())
			if resp.Status == 413 && !slimmed && len(m.Event) > 0 {
				m.Event, slimmed = Slim(m.Event), true
				continue
			}
		}
		deadline, bounded := ctx.Deadline()
		if result.Outcome != Failed || result.Silence > 0 || (bounded && time.Until(deadline) < retryBudget) {
			break
		}
	}
	return result
}

func judge(resp *http1.Response, now time.Time) Result {
	result := Result{Silence: retryAfter(resp.Status, resp.Header, now)}
	switch {
	case resp.Status >= 200 && resp.Status < 300:
		result.Outcome = Delivered
	case resp.Status == 429:
		result.Outcome = Limited
	case resp.Status == 401 || resp.Status == 403:
		result.Outcome = Unauthorized
		result.Err = fmt.Errorf("status %d", resp.Status)
	case resp.Status >= 500:
		result.Outcome = Failed
		result.Err = fmt.Errorf("status %d", resp.Status)
	default:
		result.Outcome = Rejected
		result.Err = fmt.Errorf("status %d", resp.Status)
	}
	return result
}

func (t *Transport) post(ctx context.Context, dsn DSN, m Message) (*http1.Response, error) {
	body := envelope(m, t.Now())
	request := http1.Request{Method: "POST", URL: dsn.Endpoint, Body: body, Header: [][2]string{
		{"Content-Type", "application/x-sentry-envelope"},
		{"User-Agent", Client},
		{"X-Sentry-Auth", dsn.auth()},
	}}
	if len(body) > gzipFrom {
		var err error
		if request.Body, err = compress(body); err != nil {
			return nil, err
		}
		request.Header = append(request.Header, [2]string{"Content-Encoding", "gzip"})
	}
	return t.HTTP.Do(ctx, request)
}

// envelope wraps a message. sent_at is the time of sending, not of the crash:
// the server corrects clock drift with it.
func envelope(m Message, now time.Time) []byte {
	head := map[string]any{"sent_at": now.UTC().Format("2006-01-02T15:04:05.000Z"), "sdk": map[string]string{"name": Name, "version": Version}}
	if len(m.Event) > 0 {
		head["event_id"] = m.ID
	}
	header := wire.Marshal(head)
	var b bytes.Buffer
	b.Grow(len(m.Event) + len(m.Report) + 512)
	b.Write(header)
	b.WriteByte('\n')
	for _, item := range []struct {
		kind string
		body []byte
	}{{"event", m.Event}, {"client_report", m.Report}} {
		if len(item.body) > 0 {
			fmt.Fprintf(&b, "{\"type\":%q,\"length\":%d,\"content_type\":\"application/json\"}\n", item.kind, len(item.body))
			b.Write(item.body)
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

func compress(body []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed) // the better levels take ten times the memory
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}
