package harness

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Envelope is one accepted or refused delivery.
type Envelope struct {
	Header map[string]any
	Event  map[string]any
	Raw    []byte // the event's payload
	Path   string
	Auth   string
	Gzip   bool
	At     time.Time
	// Report is the client report's discarded events by reason, nil if there is none.
	Report map[string]int
}

// Sink is a strict Sentry: it unpacks and parses every envelope by the grammar,
// fails the test on a violation and answers as set.
type Sink struct {
	t        testing.TB
	server   *httptest.Server
	mu       sync.Mutex
	received []Envelope // those with an event
	reported map[string]int
	changed  chan struct{}
	// Answer handles delivery number n (from 1); it returns true when it has
	// written an answer itself. Set it before the first delivery.
	Answer func(n int, w http.ResponseWriter, r *http.Request) bool
}

// NewSink starts a sink on a free loopback port.
func NewSink(t testing.TB, secure bool) *Sink {
	s := &Sink{t: t, changed: make(chan struct{}), reported: map[string]int{}}
	s.server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.server.Config.ErrorLog = quiet
	if secure {
		s.server.StartTLS()
	} else {
		s.server.Start()
	}
	t.Cleanup(s.server.Close)
	return s
}

// DSN names the sink's project 7.
func (s *Sink) DSN() string {
	return strings.Replace(s.server.URL, "://", "://publickey@", 1) + "/7"
}

// Host is the sink's address.
func (s *Sink) Host() string { return s.server.Listener.Addr().String() }

// Server gives access to the certificate and the connections.
func (s *Sink) Server() *httptest.Server { return s.server }

func (s *Sink) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	envelope, err := parseEnvelope(r, body)
	if err != nil {
		s.t.Errorf("invalid envelope: %v\n%.2000s", err, body)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	keep(s.t, envelope)
	s.mu.Lock()
	if envelope.Event != nil {
		s.received = append(s.received, envelope)
	}
	n := len(s.received)
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
	if envelope.Event != nil && s.Answer != nil && s.Answer(n, w, r) {
		return
	}
	s.mu.Lock()
	for reason, quantity := range envelope.Report {
		s.reported[reason] += quantity
	}
	s.mu.Unlock()
	fmt.Fprintf(w, `{"id":%q}`, envelope.Event["event_id"])
}

// keep writes an event into the folder SENTRY_EVENTS, for those who have Sentry's schema.
func keep(t testing.TB, envelope Envelope) {
	dir := os.Getenv("SENTRY_EVENTS")
	if dir == "" || envelope.Event == nil {
		return
	}
	if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%v.json", envelope.Event["event_id"])), envelope.Raw, 0o600); err != nil {
		t.Error(err)
	}
}

// Reported is the sum of the client reports the sink has taken.
func (s *Sink) Reported() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := map[string]int{}
	for reason, quantity := range s.reported {
		sum[reason] = quantity
	}
	return sum
}

// Received returns every delivery of an event so far, repeated ones too.
func (s *Sink) Received() []Envelope {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Envelope(nil), s.received...)
}

// Events returns the distinct events, as Sentry keeps them: by event_id.
func (s *Sink) Events() []Envelope {
	var events []Envelope
	seen := map[any]bool{}
	for _, e := range s.Received() {
		if id := e.Event["event_id"]; !seen[id] {
			seen[id] = true
			events = append(events, e)
		}
	}
	return events
}

// Wait waits until n deliveries have come in.
func (s *Sink) Wait(n int) []Envelope {
	s.t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		s.mu.Lock()
		changed, count := s.changed, len(s.received)
		s.mu.Unlock()
		if count >= n {
			return s.Received()
		}
		select {
		case <-changed:
		case <-timeout:
			s.t.Fatalf("the sink has %d deliveries, want %d", count, n)
		}
	}
}

func parseEnvelope(r *http.Request, body []byte) (Envelope, error) {
	e := Envelope{Path: r.URL.Path, Auth: r.Header.Get("X-Sentry-Auth"), At: time.Now()}
	if r.Method != "POST" || r.Header.Get("Content-Type") != "application/x-sentry-envelope" {
		return e, fmt.Errorf("method %s, content type %q", r.Method, r.Header.Get("Content-Type"))
	}
	if r.Header.Get("Content-Encoding") == "gzip" {
		e.Gzip = true
		zr, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return e, err
		}
		if body, err = io.ReadAll(zr); err != nil {
			return e, err
		}
	}
	if !strings.HasPrefix(e.Auth, "Sentry sentry_version=7, sentry_client=") || !strings.Contains(e.Auth, "sentry_key=") {
		return e, fmt.Errorf("auth header %q", e.Auth)
	}
	header, rest, ok := bytes.Cut(body, []byte("\n"))
	if !ok || json.Unmarshal(header, &e.Header) != nil {
		return e, fmt.Errorf("envelope header")
	}
	if bytes.Count(header, []byte("sent_at")) != 1 {
		return e, fmt.Errorf("sent_at must be there once")
	}
	sentAt, err := time.Parse(time.RFC3339Nano, fmt.Sprint(e.Header["sent_at"]))
	if err != nil || time.Since(sentAt) > time.Minute {
		return e, fmt.Errorf("sent_at %v", e.Header["sent_at"])
	}
	for len(rest) > 0 {
		if rest, err = e.item(rest); err != nil {
			return e, err
		}
	}
	if e.Event == nil {
		if _, has := e.Header["event_id"]; has || e.Report == nil {
			return e, fmt.Errorf("an envelope without an event: %s", body)
		}
		return e, nil
	}
	id := fmt.Sprint(e.Event["event_id"])
	if len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" || e.Header["event_id"] != id {
		return e, fmt.Errorf("event_id %q, in the header %v", id, e.Header["event_id"])
	}
	return e, checkEvent(e.Event)
}

// item reads the next item of an envelope.
func (e *Envelope) item(rest []byte) ([]byte, error) {
	head, rest, ok := bytes.Cut(rest, []byte("\n"))
	var item struct {
		Type        string
		Length      *int
		ContentType string `json:"content_type"`
	}
	if !ok || json.Unmarshal(head, &item) != nil || item.Length == nil || item.ContentType != "application/json" {
		return nil, fmt.Errorf("item header %q", head)
	}
	if *item.Length >= len(rest) || rest[*item.Length] != '\n' {
		return nil, fmt.Errorf("length %d of %d", *item.Length, len(rest))
	}
	body, rest := rest[:*item.Length], rest[*item.Length+1:]
	switch {
	case item.Type == "event" && e.Event == nil:
		e.Raw = body
		return rest, json.Unmarshal(body, &e.Event)
	case item.Type == "client_report" && e.Report == nil:
		return rest, e.readReport(body)
	}
	return nil, fmt.Errorf("an item of the type %q too many", item.Type)
}

func (e *Envelope) readReport(body []byte) error {
	var report struct {
		Timestamp string
		Events    []struct {
			Reason, Category string
			Quantity         int
		} `json:"discarded_events"`
	}
	if err := json.Unmarshal(body, &report); err != nil {
		return err
	}
	if _, err := time.Parse(time.RFC3339, report.Timestamp); err != nil || len(report.Events) == 0 {
		return fmt.Errorf("client report %s", body)
	}
	e.Report = map[string]int{}
	for _, d := range report.Events {
		if d.Reason == "" || d.Category != "error" || d.Quantity < 1 {
			return fmt.Errorf("client report %s", body)
		}
		e.Report[d.Reason] += d.Quantity
	}
	return nil
}

// checkEvent checks the rules of Sentry's event schema that are easy to break.
func checkEvent(event map[string]any) error {
	if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(event["timestamp"])); err != nil {
		return err
	}
	switch event["level"] {
	case "fatal", "error":
	default:
		return fmt.Errorf("level %v", event["level"])
	}
	values, _ := Dig(event, "exception", "values").([]any)
	if len(values) == 0 {
		return fmt.Errorf("no exception")
	}
	for _, value := range values {
		if st, has := value.(map[string]any)["stacktrace"]; has {
			if frames, _ := Dig(st, "frames").([]any); len(frames) == 0 {
				return fmt.Errorf("a stacktrace without frames")
			}
		}
		if Dig(value, "mechanism", "type") == nil {
			return fmt.Errorf("a mechanism without type")
		}
	}
	if err := checkOthers(event); err != nil {
		return err
	}
	tags, _ := event["tags"].(map[string]any)
	for key, value := range tags {
		if text, ok := value.(string); !ok || len(text) >= 200 || len(key) > 32 {
			return fmt.Errorf("tag %s=%v", key, value)
		}
	}
	return nil
}

// checkOthers checks what GlitchTip's and Bugsink's ingestion want beyond the
// schema: a field of another type costs the whole event there.
func checkOthers(event map[string]any) error {
	for _, name := range []string{"name", "version"} {
		if _, ok := Dig(event, "sdk", name).(string); !ok {
			return fmt.Errorf("sdk without %s", name)
		}
	}
	contexts, _ := event["contexts"].(map[string]any)
	for name, context := range contexts {
		if _, ok := context.(map[string]any); !ok {
			return fmt.Errorf("the context %s is not an object", name)
		}
	}
	if trace, has := contexts["trace"]; has && (Dig(trace, "trace_id") == nil || Dig(trace, "span_id") == nil) {
		return fmt.Errorf("a trace without its ids")
	}
	for _, name := range []string{"transaction", "server_name", "environment", "release", "dist", "logger", "platform"} {
		if value, has := event[name]; has {
			if text, ok := value.(string); !ok || text == "" {
				return fmt.Errorf("%s is %v", name, value)
			}
		}
	}
	fingerprint, _ := event["fingerprint"].([]any)
	for _, part := range fingerprint {
		if _, ok := part.(string); !ok {
			return fmt.Errorf("fingerprint %v", fingerprint)
		}
	}
	values, _ := Dig(event, "exception", "values").([]any)
	for _, value := range values {
		frames, _ := Dig(value, "stacktrace", "frames").([]any)
		for _, frame := range frames {
			if err := checkFrame(frame.(map[string]any)); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkFrame(frame map[string]any) error {
	for name, value := range frame {
		ok := false
		switch name {
		case "filename", "abs_path", "function", "raw_function", "module", "context_line":
			_, ok = value.(string)
		case "pre_context", "post_context":
			_, ok = value.([]any)
		case "lineno", "colno":
			n, number := value.(float64)
			ok = number && n == float64(int(n)) && n > 0
		case "in_app":
			_, ok = value.(bool)
		}
		if !ok {
			return fmt.Errorf("frame with %s=%v", name, value)
		}
	}
	if frame["filename"] == nil && frame["function"] == nil && frame["module"] == nil {
		return fmt.Errorf("a frame that says nothing: %v", frame)
	}
	return nil
}

// Dig follows keys (text) and indexes (int, negative from the end) into decoded JSON.
func Dig(value any, path ...any) any {
	for _, step := range path {
		switch at := step.(type) {
		case string:
			m, _ := value.(map[string]any)
			value = m[at]
		case int:
			list, _ := value.([]any)
			if at < 0 {
				at += len(list)
			}
			if at < 0 || at >= len(list) {
				return nil
			}
			value = list[at]
		}
	}
	return value
}
