package sentry

import (
	"compress/gzip"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/crash"
	"cdk-serverless-blocks/crash-reporter/internal/http1"
	"cdk-serverless-blocks/crash-reporter/internal/stack"
	"cdk-serverless-blocks/crash-reporter/internal/wire"
)

// Each limit from both sides: otherwise nobody would see it change.
func TestLimits(t *testing.T) {
	for frames, want := range map[int]int{12: 12, 13: 12} {
		list := make([]stack.Frame, frames)
		for i := range list {
			list[i] = stack.Frame{Function: "f", InApp: true}
		}
		if got := generated(list); len(got) != want {
			t.Errorf("%d generated frames: %d", frames, len(got))
		}
	}
	for status, want := range map[int]Outcome{199: Rejected, 200: Delivered, 299: Delivered, 300: Rejected, 499: Rejected, 500: Failed} {
		if got := judge(&http1.Response{Status: status}, at); got.Outcome != want {
			t.Errorf("status %d: %d", status, got.Outcome)
		}
	}
	for text, want := range map[string]bool{"0af": true, "0ag": false, "0a": false, "0af0": false} {
		if isHex(text, 3) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
	for limits, want := range map[string]time.Duration{"60": time.Minute, "0:error:key": 0} {
		if got := retryAfter(200, textproto.MIMEHeader{"X-Sentry-Rate-Limits": {limits}}, at); got != want {
			t.Errorf("%q: %v", limits, got)
		}
	}
	for length, want := range map[int]int{1 << 10: 1 << 10, 1<<10 + 1: 1 << 10} {
		event := map[string]any{"exception": map[string]any{"values": []any{map[string]any{"value": strings.Repeat("v", length)}}}}
		shortenTexts(event)
		if got := valuesOf(event)[0]["value"].(string); len(got) != want {
			t.Errorf("a value of %d: %d", length, len(got))
		}
	}
	payload := Encode(BuildEvent("id", Function{}, huge(1, 1), 0))
	if got := Fit(payload, len(payload)); len(got) != len(payload) {
		t.Errorf("a payload that just fits was cut from %d to %d", len(payload), len(got))
	}
	if got := Fit(payload, len(payload)-1); len(got) >= len(payload) {
		t.Error("one that is a byte too long was not")
	}
}

func TestOnlyTheFrameWhereItBrokeKeepsTheLinesAroundIt(t *testing.T) {
	frame := func() map[string]any { return map[string]any{"pre_context": "p", "post_context": "q"} }
	outer, inner := frame(), frame()
	dropOuterContext(map[string]any{"exception": map[string]any{"values": []any{map[string]any{"stacktrace": map[string]any{"frames": []any{outer, inner}}}}}})
	if len(outer) != 0 || len(inner) != 2 {
		t.Errorf("%v %v", outer, inner)
	}
}

func TestWhoSaysItDecidesThePlatformAndTheStream(t *testing.T) {
	env := crash.Environment{Runtime: "nodejs:22.v1", InstanceID: "a-b"}
	for language, want := range map[string]string{stack.PHP: stack.PHP, "": stack.Node} {
		if got := platform(crash.Report{Language: language, Environment: env}); got != want {
			t.Errorf("%q: %s", language, got)
		}
	}
	for version, want := range map[string]string{"5": "1970/01/01/[5]ab", "": "1970/01/01/[7]ab"} {
		env.Version = version
		if got := extra(Function{Region: "r", Version: "7"}, crash.Report{Time: time.Unix(0, 0), Environment: env}, 0)["log_stream"]; got != want {
			t.Errorf("version %q: %v", version, got)
		}
	}
	for secret, want := range map[string]string{"": "sentry_key=k", "s": "sentry_key=k, sentry_secret=s"} {
		if got := (DSN{PublicKey: "k", SecretKey: secret}).auth(); !strings.HasSuffix(got, want) {
			t.Errorf("secret %q: %s", secret, got)
		}
	}
}

// exchange says what a message led to, with a server that gives one status.
func exchange(t *testing.T, status int, m Message) (result Result, encodings []string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		encodings = append(encodings, r.Header.Get("Content-Encoding"))
		if encodings[len(encodings)-1] == "gzip" {
			unpacked, err := gzip.NewReader(r.Body)
			if err == nil {
				_, err = io.Copy(io.Discard, unpacked)
			}
			if err != nil {
				t.Errorf("what was sent cannot be unpacked: %v", err)
			}
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	dsn, err := ParseDSN(strings.Replace(server.URL, "://", "://key@", 1) + "/1")
	if err != nil {
		t.Fatal(err)
	}
	return (&Transport{HTTP: &http1.Client{}, Now: func() time.Time { return at }}).Send(context.Background(), dsn, m), encodings
}

func TestAReportMayComeAlone(t *testing.T) {
	report := ClientReport([]Discarded{{"sample_rate", "error", 2}}, at)
	for _, c := range []struct {
		status   int
		message  Message
		want     Outcome
		attempts int
	}{
		{200, Message{Report: report}, Delivered, 1},
		{200, Message{}, Rejected, 0},
		{413, Message{Report: report}, Rejected, 1}, // nothing to make smaller
	} {
		if got, attempts := exchange(t, c.status, c.message); got.Outcome != c.want || got.ReportTaken != (c.want == Delivered) || len(attempts) != c.attempts {
			t.Errorf("%d, %d bytes: %d after %d attempts", c.status, len(c.message.Report), got.Outcome, len(attempts))
		}
	}
	for event, want := range map[string]string{"": "", "{}": "id"} {
		head, _, _ := strings.Cut(string(envelope(Message{ID: "id", Event: []byte(event), Report: report}, at)), "\n")
		if got := wire.String(wire.Object([]byte(head))["event_id"]); got != want {
			t.Errorf("event %q: event_id %q", event, got)
		}
	}
}

func TestWhatIsLargerThanOneKiBIsCompressed(t *testing.T) {
	for length, want := range map[int]string{1 << 10: "", 1<<10 + 1: "gzip"} {
		m := Message{ID: "id", Event: make([]byte, 100)}
		m.Event = make([]byte, 100+length-len(envelope(m, at)))
		if more := len(envelope(m, at)) - length; more != 0 { // the length has a digit more
			m.Event = m.Event[more:]
		}
		if _, got := exchange(t, 200, m); fmt.Sprint(got) != "["+want+"]" {
			t.Errorf("%d bytes: %v", len(envelope(m, at)), got)
		}
	}
}

func TestTheSystemsRootsCountWhereItHasSome(t *testing.T) {
	if os.Getenv("WITH_ONE_ROOT") == "" {
		server := httptest.NewTLSServer(nil)
		defer server.Close()
		file := filepath.Join(t.TempDir(), "root.pem")
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0], "-test.run=^TestTheSystemsRootsCountWhereItHasSome$", "-test.v")
		cmd.Env = append(os.Environ(), "WITH_ONE_ROOT=1", "SSL_CERT_FILE="+file, "SSL_CERT_DIR=/nonexistent")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
			t.Fatalf("%v %s", err, out)
		}
		return
	}
	config, err := TLSConfig()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(config.RootCAs.Subjects()); n != 1 {
		t.Errorf("%d roots", n)
	}
}
