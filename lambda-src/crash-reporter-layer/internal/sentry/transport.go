package sentry

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/http1"
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
)

// Result is an outcome and what the server asks for.
type Result struct {
	Outcome Outcome
	// Silence is how long the server wants no errors; it may come with any outcome.
	Silence time.Duration
	// Err says why it failed. It never holds the DSN.
	Err error
}

// Transport posts envelopes.
type Transport struct {
	HTTP *http1.Client
	Now  func() time.Time
}

// Send posts one event. The context bounds everything; a network error or a
// 5xx is tried once more if there is time.
func (t *Transport) Send(ctx context.Context, dsn DSN, id string, payload []byte) Result {
	var result Result
	slimmed := false
	for attempt := 0; attempt < 2; attempt++ {
		resp, err := t.post(ctx, dsn, id, payload)
		if err != nil {
			result = Result{Outcome: Failed, Err: err}
		} else {
			result = judge(resp, t.Now())
			if resp.Status == 413 && !slimmed {
				payload, slimmed = Slim(payload), true
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
	case resp.Status >= 500:
		result.Outcome = Failed
		result.Err = fmt.Errorf("status %d", resp.Status)
	default:
		result.Outcome = Rejected
		result.Err = fmt.Errorf("status %d", resp.Status)
	}
	return result
}

func (t *Transport) post(ctx context.Context, dsn DSN, id string, payload []byte) (*http1.Response, error) {
	body, err := envelope(id, payload, t.Now())
	if err != nil {
		return nil, err
	}
	request := http1.Request{Method: "POST", URL: dsn.Endpoint, Body: body, Header: [][2]string{
		{"Content-Type", "application/x-sentry-envelope"},
		{"User-Agent", Client},
		{"X-Sentry-Auth", dsn.auth()},
	}}
	if len(body) > gzipFrom {
		if request.Body, err = compress(body); err != nil {
			return nil, err
		}
		request.Header = append(request.Header, [2]string{"Content-Encoding", "gzip"})
	}
	return t.HTTP.Do(ctx, request)
}

// envelope wraps one event. sent_at is the time of sending, not of the crash:
// the server corrects clock drift with it.
func envelope(id string, payload []byte, now time.Time) ([]byte, error) {
	if len(payload) == 0 {
		return nil, errors.New("empty event")
	}
	header, err := json.Marshal(map[string]any{"event_id": id, "sent_at": now.UTC().Format("2006-01-02T15:04:05.000Z"),
		"sdk": map[string]string{"name": Name, "version": Version}})
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.Grow(len(payload) + 256)
	b.Write(header)
	fmt.Fprintf(&b, "\n{\"type\":\"event\",\"length\":%d,\"content_type\":\"application/json\"}\n", len(payload))
	b.Write(payload)
	b.WriteByte('\n')
	return b.Bytes(), nil
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
