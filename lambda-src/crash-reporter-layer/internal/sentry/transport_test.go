package sentry

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/http1"
)

func TestASecondAttemptIsMadeOnlyWhereItIsWelcomeAndInTime(t *testing.T) {
	for name, c := range map[string]struct {
		status   int
		limits   string
		budget   time.Duration
		attempts int
		outcome  Outcome
	}{
		"overload, with time":           {503, "", 20 * time.Second, 2, Failed},
		"overload, without time":        {503, "", retryBudget - time.Millisecond, 1, Failed},
		"overload that wants silence":   {503, "60:error:key", 20 * time.Second, 1, Failed},
		"overload of something else":    {503, "60:transaction:key", 20 * time.Second, 2, Failed},
		"limited":                       {429, "", 20 * time.Second, 1, Limited},
		"refused":                       {400, "", 20 * time.Second, 1, Rejected},
		"the project is gone":           {403, "", 20 * time.Second, 1, Unauthorized},
		"too large, and with less, too": {413, "", 20 * time.Second, 2, Rejected},
	} {
		attempts := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			attempts++
			if c.limits != "" {
				w.Header().Set("X-Sentry-Rate-Limits", c.limits)
			}
			w.WriteHeader(c.status)
		}))
		dsn, err := ParseDSN(strings.Replace(server.URL, "://", "://key@", 1) + "/1")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), c.budget)
		result := (&Transport{HTTP: &http1.Client{}, Now: time.Now}).Send(ctx, dsn, Message{ID: "id", Event: []byte(`{"exception":{}}`)})
		cancel()
		server.Close()
		if attempts != c.attempts || result.Outcome != c.outcome {
			t.Errorf("%s: %d attempts, outcome %d %v", name, attempts, result.Outcome, result.Err)
		}
		if result.Err != nil && strings.Contains(result.Err.Error(), "key@") {
			t.Errorf("%s: the error holds the DSN: %v", name, result.Err)
		}
	}
}

// An old server that does not know client reports must not cost the event.
func TestAServerThatRefusesClientReportsGetsTheEventWithoutOne(t *testing.T) {
	var bodies []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(body))
		if strings.Contains(string(body), "client_report") {
			w.WriteHeader(422)
		}
	}))
	defer server.Close()
	dsn, err := ParseDSN(strings.Replace(server.URL, "://", "://key@", 1) + "/1")
	if err != nil {
		t.Fatal(err)
	}
	transport := &Transport{HTTP: &http1.Client{}, Now: time.Now}
	message := Message{ID: "id", Event: []byte(`{"exception":{}}`), Report: ClientReport([]Discarded{{"sample_rate", "error", 2}}, time.Now())}
	for i := 0; i < 2; i++ {
		if result := transport.Send(context.Background(), dsn, message); result.Outcome != Delivered || result.ReportTaken {
			t.Errorf("%+v", result)
		}
	}
	if len(bodies) != 3 || strings.Contains(bodies[2], "client_report") {
		t.Errorf("%d deliveries: %q", len(bodies), bodies)
	}
}
