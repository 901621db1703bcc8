package extension

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestShutdownBudget(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	for deadline, want := range map[float64]time.Duration{1_800_000_001_500: 1500 * time.Millisecond, 676051: 2 * time.Second, 0: 2 * time.Second, 1_800_000_009_000: 2 * time.Second, 1_799_999_999_000: 2 * time.Second, 1_800_000_000_000: 2 * time.Second} {
		if got := shutdownBudget(deadline, now); got != want {
			t.Errorf("%v: %v, want %v", deadline, got, want)
		}
	}
}

func TestRefusedEventsMeanIdleAndNotTheEnd(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.WriteHeader(403)
	}))
	defer server.Close()
	api := &API{Host: strings.TrimPrefix(server.URL, "http://"), Name: "x"}
	logged, ended := make(chan string, 8), make(chan struct{})
	go func() {
		api.Run(context.Background(), nil, func(text string) { logged <- text })
		close(ended)
	}()
	select {
	case text := <-logged:
		if !strings.Contains(text, "idle") || asked.Load() != 3 {
			t.Errorf("logged %q after %d refusals", text, asked.Load())
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

// 5xx may pass and is asked again, whatever else is refused is not; SHUTDOWN alone has nothing to fall back to.
func TestWhatRegistrationRepeats(t *testing.T) {
	for _, c := range []struct {
		events   []string
		statuses []int
		asked    int
		fails    bool
	}{
		{[]string{"INVOKE", "SHUTDOWN"}, []int{500, 200}, 2, false},
		{[]string{"INVOKE", "SHUTDOWN"}, []int{499, 200}, 1, true},
		{[]string{"INVOKE", "SHUTDOWN"}, []int{403, 200}, 2, false},
		{[]string{"SHUTDOWN"}, []int{403, 200}, 1, true},
	} {
		asked := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked++
			w.Header().Set("Lambda-Extension-Identifier", "id")
			w.WriteHeader(c.statuses[asked-1])
		}))
		_, err := (&API{Host: strings.TrimPrefix(server.URL, "http://"), Name: "x"}).Register(context.Background(), c.events)
		server.Close()
		if asked != c.asked || (err != nil) != c.fails {
			t.Errorf("%v, %v: asked %d times, %v", c.events, c.statuses, asked, err)
		}
	}
}

type deadlines struct{ invoke time.Time }

func (d *deadlines) Invoke(ctx context.Context, _ string) { d.invoke, _ = ctx.Deadline() }
func (d *deadlines) Shutdown(string, time.Duration)       {}

func TestAnInvocationIsLeft200MillisecondsBeforeItsEnd(t *testing.T) {
	const end = 4_000_000_000_000
	answers := []string{fmt.Sprintf(`{"eventType":"INVOKE","deadlineMs":%d}`, int64(end)), `{"eventType":"SHUTDOWN"}`}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, answers[0])
		answers = answers[1:]
	}))
	defer server.Close()
	got := &deadlines{}
	(&API{Host: strings.TrimPrefix(server.URL, "http://"), Name: "x"}).Run(context.Background(), got, func(string) {})
	if left := time.UnixMilli(end).Sub(got.invoke); left != 200*time.Millisecond {
		t.Errorf("%v before", left)
	}
}
