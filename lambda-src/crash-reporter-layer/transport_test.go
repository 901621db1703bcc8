package main

import (
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	. "cdk-serverless-blocks/crash-reporter/internal/harness"
)

func exits(id string) string { return Batch(Start(id), Done(id, "error", "Runtime.ExitError", 12)) }

func failsWith(id, message string) string {
	return Batch(Start(id), Log("2026-11-21T02:30:00.000Z\t"+id+"\tERROR\tUncaught Exception \t"+
		fmt.Sprintf(`{"errorType":"Error","errorMessage":%q,"stack":["Error: x","    at f (/var/task/index.js:1:2)"]}`, message)), Done(id, "error", "Runtime.ExitError", 12))
}

// throws is an invocation whose handler failed, which to Lambda is a success.
func throws(id, message string) string {
	return Batch(Start(id), Log("2026-11-21T02:30:00.000Z\t"+id+"\tERROR\tInvoke Error \t"+
		fmt.Sprintf(`{"errorType":"Error","errorMessage":%q,"stack":["Error: x","    at f (/var/task/index.js:1:2)"]}`, message)), Done(id, "success", "", 12))
}

func TestSplitRecordAcrossTwoPosts(t *testing.T) {
	lambda, sink := environment(t)
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Post(Batch(Start("abc")))
	lambda.Post(`[{"time":"T","type":"function","record":{"message":"AAAA}]`)
	lambda.Post(`[{"time":"T","type":"function","record":BBBB"}},{"time":"T2","type":"platform.runtimeDone","record":{"requestId":"abc","status":"error","errorType":"Runtime.ExitError"}}]`)
	lambda.Shutdown("failure")
	want(t, one(t, sink), lastType, "Runtime.ExitError", "contexts/aws.lambda/aws_request_id", "abc")
}

func TestTheSecondHalfAloneStillDeliversTheCrash(t *testing.T) {
	lambda, sink := environment(t)
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Post(`[{"time":"T","type":"function","record":BBBB"}},{"time":"T2","type":"platform.runtimeDone","record":{"requestId":"abc","status":"error","errorType":"Runtime.ExitError"}}]`)
	lambda.Shutdown("failure")
	want(t, one(t, sink), lastType, "Runtime.ExitError", "contexts/aws.lambda/aws_request_id", "abc")
}

func TestOddBatches(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 50) + "1" + strings.Repeat("}", 50)
	crash := Done(r1, "error", "Runtime.ExitError", 12)
	for name, odd := range map[string]string{
		"unknown type":       `{"time":"T","type":"platform.brandNew","record":{"x":1}}`,
		"unknown status":     `{"time":"T","type":"platform.runtimeDone","record":{"requestId":"p","status":"paused"}}`,
		"numbers as strings": `{"time":"T","type":"platform.report","record":{"requestId":"p","status":"success","metrics":{"memorySizeMB":"128","maxMemoryUsedMB":"64","durationMs":"x"}}}`,
		"null record":        `{"time":"T","type":"platform.runtimeDone","record":null}`,
		"null everything":    `{"time":null,"type":null,"record":null}`,
		"invalid UTF-8":      "{\"time\":\"T\",\"type\":\"function\",\"record\":\"ERROR \xff\xfe\xc3\"}",
		"5 MB record":        `{"time":"T","type":"function","record":"ERROR ` + strings.Repeat("x", 5<<20) + `"}`,
		"50 deep":            `{"time":"T","type":"function","record":` + deep + `}`,
		"10,000 deep":        `{"time":"T","type":"function","record":` + strings.Repeat("[", 10000) + `}`,
		"not an object":      `"text",17,null,["a"]`,
	} {
		t.Run(name, func(t *testing.T) {
			lambda, sink := environment(t)
			lambda.Post(healthy("nodejs:20.v22"))
			lambda.Post(Batch(Start(r1), odd, crash))
			lambda.Shutdown("failure")
			want(t, one(t, sink), lastType, "Runtime.ExitError", "contexts/aws.lambda/aws_request_id", r1)
		})
	}
}

func TestWithoutAUsableDSNItIdles(t *testing.T) {
	for _, dsn := range []string{"", "not a url", "https://host/1", "ftp://key@host/1", "https://key@host", "https://key@/1"} {
		t.Run(dsn, func(t *testing.T) {
			t.Parallel()
			lambda := NewLambda(t, binary, dsn)
			setEnv(lambda, "CRASH_REPORTER_MODE=errors")
			lambda.Start()
			lambda.Invoke(r1, 3*time.Second)
			lambda.WaitNexts(2)
			lambda.Shutdown("spindown")
			if n := len(lambda.Subscriptions()); n != 0 {
				t.Errorf("%d subscriptions", n)
			}
			if lines := strings.Count(lambda.Output(), "\n"); lines != 1 {
				t.Errorf("output has %d lines: %s", lines, lambda.Output())
			}
			if dsn != "" && strings.Contains(lambda.Output(), dsn) {
				t.Errorf("the DSN is in the log: %s", lambda.Output())
			}
			if _, err := os.Stat(lambda.StateDir); err == nil {
				t.Error("it wrote state")
			}
		})
	}
}

// The clock of rate limits is injected in internal/reporter's tests; here the
// limit survives into the next process.
func TestRateLimitHoldsInTheNextProcess(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter){
		"429 with header": func(w http.ResponseWriter) {
			w.Header().Set("X-Sentry-Rate-Limits", "60:error:organization")
			w.WriteHeader(429)
		},
		"429 bare":        func(w http.ResponseWriter) { w.WriteHeader(429) },
		"200 with header": func(w http.ResponseWriter) { w.Header().Set("X-Sentry-Rate-Limits", "2700::organization") },
	} {
		t.Run(name, func(t *testing.T) {
			lambda, sink := environment(t)
			sink.Answer = func(n int, w http.ResponseWriter, r *http.Request) bool { answer(w); return true }
			lambda.Post(healthy("nodejs:20.v22"))
			lambda.Post(failsWith(r1, "first kind"))
			lambda.Shutdown("failure")
			one(t, sink)
			lambda.Start()
			lambda.Post(failsWith(r2, "another kind"))
			lambda.Shutdown("failure")
			one(t, sink)
		})
	}
}

func TestALimitForTransactionsDoesNotMatter(t *testing.T) {
	lambda, sink := environment(t)
	sink.Answer = func(n int, w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("X-Sentry-Rate-Limits", "60:transaction;profile:organization")
		return false
	}
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Post(failsWith(r1, "first kind"))
	lambda.Shutdown("failure")
	lambda.Start()
	lambda.Post(failsWith(r2, "another kind"))
	lambda.Shutdown("failure")
	if n := len(sink.Events()); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
}

// blackHole is an address where connections are never answered: the backlog of
// a listening socket that accepts nothing is full, so further SYNs are dropped.
func blackHole(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for i := 0; i < 8; i++ {
		conn, err := net.DialTimeout("tcp", address, 50*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Fatal("the backlog never filled")
	return ""
}

func TestUnreachableSentryThenTheNextProcessDelivers(t *testing.T) {
	t.Parallel()
	sink := NewSink(t, false)
	lambda := NewLambda(t, binary, "http://publickey@"+blackHole(t)+"/7")
	lambda.Start()
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Post(exits(r1))
	within(t, "SHUTDOWN to exit", lambda.Shutdown("failure"), 1900*time.Millisecond)
	spooled := lambda.Spooled()
	if len(spooled) != 1 {
		t.Fatalf("spooled: %v", spooled)
	}
	if info, err := os.Stat(spooled[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v %v", info.Mode(), err)
	}
	id := strings.TrimSuffix(filepath.Base(spooled[0]), ".env")
	setEnv(lambda, "SENTRY_DSN="+sink.DSN())
	before := time.Now().Add(-time.Millisecond)
	lambda.Start()
	event := sink.Wait(1)[0]
	sentAt, err := time.Parse(time.RFC3339Nano, fmt.Sprint(event.Header["sent_at"]))
	if event.Event["event_id"] != id || err != nil || sentAt.Before(before.Truncate(time.Millisecond)) {
		t.Errorf("event %v sent at %v, want %s after %v", event.Event["event_id"], sentAt, id, before)
	}
	lambda.Shutdown("spindown")
	if left := lambda.Spooled(); len(left) != 0 {
		t.Errorf("still spooled: %v", left)
	}
}

func TestAServerThatAnswersSlowlyOrNot(t *testing.T) {
	for name, c := range map[string]struct {
		answer  func(n int, w http.ResponseWriter, r *http.Request) bool
		most    int // deliveries of the one event: when it is due, and again at SHUTDOWN
		spooled int
	}{
		"503 is tried once more": {func(n int, w http.ResponseWriter, r *http.Request) bool {
			if n == 1 {
				w.WriteHeader(503)
			}
			return n == 1
		}, 2, 0},
		"503 for ever is spooled": {func(n int, w http.ResponseWriter, r *http.Request) bool { w.WriteHeader(503); return true }, 4, 1},
		"400 is dropped":          {func(n int, w http.ResponseWriter, r *http.Request) bool { w.WriteHeader(400); return true }, 1, 0},
		"403 is dropped":          {func(n int, w http.ResponseWriter, r *http.Request) bool { w.WriteHeader(403); return true }, 1, 0},
		"slow loris": {func(n int, w http.ResponseWriter, r *http.Request) bool {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return true
			}
			defer conn.Close()
			for _, c := range "HTTP/1.1 200 OK\r\nX-Slow: " + strings.Repeat("x", 1000) {
				if _, err := conn.Write([]byte(string(c))); err != nil {
					return true
				}
				time.Sleep(20 * time.Millisecond)
			}
			return true
		}, 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			lambda, sink := environment(t)
			sink.Answer = c.answer
			lambda.Post(healthy("nodejs:20.v22"))
			lambda.Post(exits(r1))
			within(t, "SHUTDOWN to exit", lambda.Shutdown("failure"), 1900*time.Millisecond)
			if n := len(sink.Events()); n != 1 {
				t.Errorf("%d events, want 1", n)
			}
			if n := len(sink.Received()); n > c.most {
				t.Errorf("%d deliveries, want %d at most", n, c.most)
			}
			if n := len(lambda.Spooled()); n != c.spooled {
				t.Errorf("%d spooled, want %d", n, c.spooled)
			}
		})
	}
}

func TestATooLargeEventIsSentWithoutExtras(t *testing.T) {
	lambda, sink := environment(t, "CRASH_REPORTER_BREADCRUMBS=true")
	sink.Answer = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if n == 1 {
			w.WriteHeader(413)
		}
		return n == 1
	}
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Post(Batch(Start(r1), Log("a line before"), Done(r1, "error", "Runtime.ExitError", 12)))
	lambda.Shutdown("failure")
	received := sink.Received()
	if len(received) != 2 {
		t.Fatalf("%d deliveries, want 2", len(received))
	}
	want(t, received[0].Event, "breadcrumbs/values/0/message", "a line before")
	want(t, received[1].Event, "breadcrumbs", "<missing>", "extra", "<missing>", lastType, "Runtime.ExitError")
}

func TestTLS(t *testing.T) {
	for name, trusted := range map[string]bool{"trusted by SSL_CERT_FILE": true, "not trusted": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sink := NewSink(t, true)
			lambda := NewLambda(t, binary, sink.DSN())
			if trusted {
				file := filepath.Join(t.TempDir(), "ca.pem")
				certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: sink.Server().Certificate().Raw})
				if err := os.WriteFile(file, certificate, 0o600); err != nil {
					t.Fatal(err)
				}
				setEnv(lambda, "SSL_CERT_FILE="+file, "SSL_CERT_DIR=/nonexistent")
			}
			lambda.Start()
			lambda.Post(healthy("nodejs:20.v22"))
			lambda.Post(exits(r1))
			within(t, "SHUTDOWN to exit", lambda.Shutdown("failure"), 1900*time.Millisecond)
			if trusted {
				one(t, sink)
			} else {
				none(t, sink)
				if n := len(lambda.Spooled()); n != 1 {
					t.Errorf("%d spooled", n)
				}
			}
		})
	}
}

func TestFrozenWhileSending(t *testing.T) {
	t.Parallel()
	sink := NewSink(t, false)
	lambda := NewLambda(t, binary, sink.DSN())
	frozen := make(chan struct{})
	sink.Answer = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if n > 1 {
			return false
		}
		// The environment freezes before the answer, and the connection dies meanwhile.
		lambda.Freeze()
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}
		close(frozen)
		return true
	}
	lambda.Start()
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Post(exits(r1))
	<-frozen
	lambda.Thaw()
	sink.Wait(2)
	lambda.Shutdown("spindown")
	if n := len(sink.Events()); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}
