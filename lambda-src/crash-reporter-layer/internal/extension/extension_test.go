package extension

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestShutdownBudget(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	for deadline, want := range map[float64]time.Duration{1_800_000_001_500: 1500 * time.Millisecond, 676051: 2 * time.Second, 0: 2 * time.Second, 1_800_000_009_000: 2 * time.Second, 1_799_999_999_000: 2 * time.Second} {
		if got := shutdownBudget(deadline, now); got != want {
			t.Errorf("%v: %v, want %v", deadline, got, want)
		}
	}
}

func TestRefusedEventsMeanIdleAndNotTheEnd(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(403) }))
	defer server.Close()
	api := &API{Host: strings.TrimPrefix(server.URL, "http://"), Name: "x"}
	logged, ended := make(chan string, 8), make(chan struct{})
	go func() {
		api.Run(context.Background(), nil, func(text string) { logged <- text })
		close(ended)
	}()
	select {
	case text := <-logged:
		if !strings.Contains(text, "idle") {
			t.Errorf("logged %q", text)
		}
	case <-ended:
		t.Fatal("it ended")
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was logged")
	}
	select {
	case <-ended:
		t.Error("it ended after all")
	default:
	}
}

type events struct{ reasons []string }

func (e *events) Invoke(_ context.Context, id string)          { e.reasons = append(e.reasons, id) }
func (e *events) Shutdown(reason string, budget time.Duration) { e.reasons = append(e.reasons, reason) }

func TestBrokenAnswersAreSurvived(t *testing.T) {
	n := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		switch n {
		case 1:
			panic(http.ErrAbortHandler) // the connection breaks
		case 2:
			w.WriteHeader(500)
		case 3:
			fmt.Fprint(w, "not json")
		case 4:
			fmt.Fprint(w, `{"eventType":"SOMETHING_NEW"}`)
		case 5:
			fmt.Fprint(w, `{"eventType":"INVOKE","requestId":"r1","deadlineMs":676051}`)
		default:
			fmt.Fprint(w, `{"eventType":"SHUTDOWN","shutdownReason":"TIMEOUT"}`)
		}
	}))
	defer server.Close()
	got := &events{}
	(&API{Host: strings.TrimPrefix(server.URL, "http://"), Name: "x"}).Run(context.Background(), got, func(string) {})
	if fmt.Sprint(got.reasons) != "[r1 timeout]" {
		t.Errorf("%v", got.reasons)
	}
}

func TestRegistrationFallsBackOnlyWhereInvokeIsTheReason(t *testing.T) {
	for reason, want := range map[string]string{
		"Extension.InvalidEventType":  `[{"events":["INVOKE","SHUTDOWN"]} {"events":["SHUTDOWN"]}]`,
		"Extension.TooManyExtensions": `[{"events":["INVOKE","SHUTDOWN"]}]`,
	} {
		var bodies []string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			raw, _ := io.ReadAll(r.Body)
			bodies = append(bodies, string(raw))
			if strings.Contains(string(raw), "INVOKE") || reason == "Extension.TooManyExtensions" {
				w.WriteHeader(403)
				fmt.Fprintf(w, `{"errorType":%q}`, reason)
				return
			}
			w.Header().Set("Lambda-Extension-Identifier", "id")
		}))
		_, err := (&API{Host: strings.TrimPrefix(server.URL, "http://"), Name: "x"}).Register(context.Background(), []string{"INVOKE", "SHUTDOWN"})
		server.Close()
		if fmt.Sprint(bodies) != want || (err == nil) != (reason == "Extension.InvalidEventType") {
			t.Errorf("%s: sent %v, %v", reason, bodies, err)
		}
	}
}
