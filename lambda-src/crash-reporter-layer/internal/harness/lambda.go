// Package harness is a fake of Lambda's Extensions and Telemetry API and of
// Sentry, for the tests of the real binary. It is not part of the extension.
package harness

import (
	"encoding/json"
	"fmt"
	"io"
	stdlog "log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var quiet = stdlog.New(io.Discard, "", 0)

// Lambda is one execution environment: its API, its /tmp and, one after the
// other, the processes of the extension.
type Lambda struct {
	T        testing.TB
	Binary   string
	StateDir string
	Env      map[string]string
	Managed  bool

	// RegisterStatus answers registration number n (from 1); 0 means 200.
	RegisterStatus func(n int) int
	// SubscribeStatus answers a subscription with the given schema; 0 means 200.
	SubscribeStatus func(schema string) int

	server     *httptest.Server
	mu         sync.Mutex
	changed    chan struct{}
	events     chan map[string]any
	id         string
	registered []map[string]any
	names      []string
	subscribed []map[string]any
	nexts      int
	sent       int // events queued for the extension, and those it has got
	taken      int
	launched   time.Time // when the process was started, registered, and first asked for events
	registerAt time.Time
	nextAt     time.Time
	process    *Process
}

// NewLambda starts the API.
func NewLambda(t testing.TB, binary, dsn string) *Lambda {
	l := &Lambda{T: t, Binary: binary, StateDir: filepath.Join(t.TempDir(), "state"), events: make(chan map[string]any, 64), changed: make(chan struct{}),
		Env: map[string]string{"SENTRY_DSN": dsn, "AWS_REGION": "eu-central-1", "AWS_LAMBDA_FUNCTION_NAME": "my-fn", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
			"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "CRASH_REPORTER_LISTEN_HOST": "127.0.0.1"}}
	l.server = httptest.NewUnstartedServer(http.HandlerFunc(l.serve))
	l.server.Config.ErrorLog = quiet
	l.server.Start()
	t.Cleanup(func() {
		l.Kill()
		l.server.CloseClientConnections()
		l.server.Close()
	})
	return l
}

func (l *Lambda) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	switch r.Method + " " + r.URL.Path {
	case "POST /2020-01-01/extension/register":
		l.register(w, r, body)
	case "GET /2020-01-01/extension/event/next":
		if r.Header.Get("Lambda-Extension-Identifier") != l.identifier() {
			fail(w, 403, "Extension.UnknownExtensionIdentifier")
			return
		}
		l.note(func() {
			if l.nexts++; l.nexts == 1 {
				l.nextAt = time.Now()
			}
		})
		select {
		case event := <-l.events:
			w.Header().Set("Lambda-Extension-Event-Identifier", newUUID())
			reply(w, 200, event)
			l.note(func() { l.taken++ })
		case <-r.Context().Done():
		}
	case "PUT /2022-07-01/telemetry":
		l.subscribe(w, r, body)
	default:
		l.T.Errorf("the extension called %s %s", r.Method, r.URL.Path)
		fail(w, 404, "NotFound")
	}
}

func (l *Lambda) register(w http.ResponseWriter, r *http.Request, body []byte) {
	var request map[string]any
	if json.Unmarshal(body, &request) != nil {
		fail(w, 400, "InvalidRequestFormat")
		return
	}
	n := 0
	l.note(func() {
		l.registerAt = time.Now()
		l.registered = append(l.registered, request)
		l.names = append(l.names, r.Header.Get("Lambda-Extension-Name"))
		n = len(l.registered)
	})
	if r.Header.Get("Lambda-Extension-Name") != filepath.Base(l.Binary) {
		fail(w, 403, "Extension.InvalidExtensionName")
		return
	}
	if l.RegisterStatus != nil {
		if status := l.RegisterStatus(n); status != 0 {
			fail(w, status, "Extension.SomeError")
			return
		}
	}
	if l.Managed && strings.Contains(string(body), "INVOKE") {
		fail(w, 403, "Extension.InvalidEventType")
		return
	}
	id := newUUID()
	l.note(func() { l.id = id })
	w.Header().Set("Lambda-Extension-Identifier", id)
	reply(w, 200, map[string]any{"functionName": "my-fn", "functionVersion": "$LATEST", "handler": "index.handler", "accountId": "123456789012"})
}

func (l *Lambda) subscribe(w http.ResponseWriter, r *http.Request, body []byte) {
	var request struct {
		SchemaVersion string
		Types         []string
		Buffering     struct{ MaxItems, MaxBytes, TimeoutMs int }
		Destination   struct{ Protocol, URI string }
	}
	var plain map[string]any
	_ = json.Unmarshal(body, &plain)
	l.note(func() { l.subscribed = append(l.subscribed, plain) })
	err := json.Unmarshal(body, &request)
	b := request.Buffering
	host, _ := url.Parse(request.Destination.URI)
	if err != nil || r.Header.Get("Lambda-Extension-Identifier") != l.identifier() ||
		b.MaxItems < 1000 || b.MaxItems > 10000 || b.MaxBytes < 262144 || b.MaxBytes > 1048576 || b.TimeoutMs < 25 || b.TimeoutMs > 30000 ||
		request.Destination.Protocol != "HTTP" || host == nil || host.Hostname() != "sandbox.localdomain" {
		l.T.Errorf("invalid subscription: %s", body)
		fail(w, 400, "ValidationError")
		return
	}
	if l.SubscribeStatus != nil {
		if status := l.SubscribeStatus(request.SchemaVersion); status != 0 {
			fail(w, status, "ValidationError")
			return
		}
	}
	if l.Managed && request.SchemaVersion != "2025-01-29" {
		fail(w, 400, "ValidationError")
		return
	}
	fmt.Fprint(w, `"OK"`)
}

func fail(w http.ResponseWriter, status int, errorType string) {
	reply(w, status, map[string]any{"errorType": errorType, "errorMessage": "refused"})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (l *Lambda) identifier() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.id
}

func (l *Lambda) note(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	close(l.changed)
	l.changed = make(chan struct{})
}

// Until waits for a condition on what the extension has called.
func (l *Lambda) Until(what string, condition func() bool) {
	l.T.Helper()
	timeout := time.After(10 * time.Second)
	for {
		l.mu.Lock()
		ok, changed := condition(), l.changed
		l.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			l.T.Fatalf("waited in vain for %s; output: %s", what, l.Output())
		}
	}
}

// Post delivers a batch of telemetry, as given, and wants 200.
func (l *Lambda) Post(batch string) {
	l.T.Helper()
	resp, err := http.Post(l.TelemetryURL(), "application/json", strings.NewReader(batch))
	if err != nil {
		l.T.Fatalf("telemetry: %v; output: %s", err, l.Output())
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		l.T.Fatalf("telemetry answered %d", resp.StatusCode)
	}
}

// TelemetryURL is where the extension wants telemetry.
func (l *Lambda) TelemetryURL() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.subscribed) == 0 {
		l.T.Fatal("no subscription")
	}
	uri := fmt.Sprint(Dig(l.subscribed[len(l.subscribed)-1], "destination", "URI"))
	return strings.Replace(uri, "sandbox.localdomain", "127.0.0.1", 1)
}

// Invoke sends an INVOKE event.
func (l *Lambda) Invoke(requestID string, deadline time.Duration) {
	l.note(func() { l.sent++ })
	l.events <- map[string]any{"eventType": "INVOKE", "deadlineMs": time.Now().Add(deadline).UnixMilli(), "requestId": requestID}
}

// Shutdown sends SHUTDOWN and waits for the end, or kills after 2 seconds as Lambda does.
func (l *Lambda) Shutdown(reason string) time.Duration {
	l.T.Helper()
	start := time.Now()
	l.note(func() { l.sent++ })
	l.events <- map[string]any{"eventType": "SHUTDOWN", "shutdownReason": reason, "deadlineMs": start.Add(2 * time.Second).UnixMilli()}
	select {
	case <-l.process.exited:
	case <-time.After(2 * time.Second):
		l.Kill()
		l.T.Fatalf("still running 2 s after SHUTDOWN; output: %s", l.Output())
	}
	if l.process.err != nil {
		l.T.Fatalf("the extension ended with %v; output: %s", l.process.err, l.Output())
	}
	return time.Since(start)
}

// Registrations, Subscriptions and Nexts are what the extension has called.
func (l *Lambda) Registrations() []map[string]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]map[string]any(nil), l.registered...)
}

// Subscriptions returns the bodies of all telemetry subscriptions.
func (l *Lambda) Subscriptions() []map[string]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]map[string]any(nil), l.subscribed...)
}

// WaitNexts waits until this process has asked for events n times.
func (l *Lambda) WaitNexts(n int) {
	l.T.Helper()
	l.Until(fmt.Sprintf("%d event/next", n), func() bool { return l.nexts >= n })
}

// Nexts is how often this process has asked for events.
func (l *Lambda) Nexts() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.nexts
}

// WaitTaken waits until the extension has been given every event sent so far.
func (l *Lambda) WaitTaken() {
	l.T.Helper()
	l.Until("the event to be taken", func() bool { return l.taken == l.sent })
}

// Spooled returns the names of the spooled events.
func (l *Lambda) Spooled() []string {
	files, _ := filepath.Glob(filepath.Join(l.StateDir, "*.env"))
	return files
}

// WaitSpooled waits until this many events are spooled.
func (l *Lambda) WaitSpooled(n int) {
	l.T.Helper()
	l.poll(func() bool { return len(l.Spooled()) == n }, "spooled events")
}

// WaitOutput waits until the extension has printed a text.
func (l *Lambda) WaitOutput(text string) {
	l.T.Helper()
	l.poll(func() bool { return strings.Contains(l.Output(), text) }, text)
}

func (l *Lambda) poll(condition func() bool, what string) {
	l.T.Helper()
	for end := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			l.T.Fatalf("waited in vain for %s; spooled %d, output %q", what, len(l.Spooled()), l.Output())
		}
	}
}

func newUUID() string {
	f, err := os.Open("/proc/sys/kernel/random/uuid")
	if err != nil {
		return "11111111-2222-4333-8444-555555555555"
	}
	defer f.Close()
	raw, _ := io.ReadAll(f)
	return strings.TrimSpace(string(raw))
}
