package http1

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"
)

func ctx(t *testing.T) context.Context {
	c, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	t.Cleanup(cancel)
	return c
}

func TestClientReadsEveryKindOfBody(t *testing.T) {
	for name, answer := range map[string]string{
		"length":       "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\nX-A: 2\r\n\r\nhelloIGNORED",
		"chunked":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;ext=1\r\nllo\r\n0\r\nTrailer: x\r\n\r\n",
		"until close":  "HTTP/1.0 200 OK\r\n\r\nhello",
		"after 1xx":    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"LF line ends": "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
	} {
		resp, err := answerWith(t, answer)
		if err != nil || resp.Status != 200 || string(resp.Body) != "hello" {
			t.Errorf("%s: %+v %v", name, resp, err)
		}
	}
	for name, answer := range map[string]string{"no HTTP": "SSH-2.0\r\n\r\n", "nothing": "", "huge head": "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxHeader), "bad length": "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
		"bad chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "cut chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc"} {
		if resp, err := answerWith(t, answer); err == nil {
			t.Errorf("%s was taken: %+v", name, resp)
		}
	}
}

func answerWith(t *testing.T, answer string) (*Response, error) {
	t.Helper()
	l := listen(t)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = http.ReadRequest(bufio.NewReader(conn))
		_, _ = io.WriteString(conn, answer)
	}()
	return (&Client{}).Do(ctx(t), Request{Method: "GET", URL: "http://" + l.Addr().String() + "/"})
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestTheContextEndsAnExchange(t *testing.T) {
	l := listen(t) // accepts in the kernel, never answers
	c, cancel := context.WithCancel(context.Background())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := (&Client{}).Do(c, Request{Method: "GET", URL: "http://" + l.Addr().String() + "/"}); err == nil {
		t.Error("no error")
	}
}

func TestPlainHTTPThroughAProxy(t *testing.T) {
	var seen []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.RequestURI, r.Header.Get("Proxy-Authorization"))
	}))
	defer proxy.Close()
	via, _ := url.Parse(strings.Replace(proxy.URL, "://", "://user:pass@", 1))
	client := &Client{Proxy: func(*url.URL) *url.URL { return via }}
	resp, err := client.Do(ctx(t), Request{Method: "POST", URL: "http://sentry.invalid/api/1/", Body: []byte("x")})
	if err != nil || resp.Status != 200 || fmt.Sprint(seen) != "[http://sentry.invalid/api/1/ Basic dXNlcjpwYXNz]" {
		t.Errorf("%v %v %v", resp, err, seen)
	}
}

func TestTLSThroughAProxy(t *testing.T) {
	origin := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "secured "+r.RequestURI) }))
	defer origin.Close()
	var connected, auth string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connected, auth = r.Method+" "+r.Host, r.Header.Get("Proxy-Authorization")
		up, err := net.Dial("tcp", origin.Listener.Addr().String())
		if err != nil {
			return
		}
		defer up.Close()
		down, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer down.Close()
		fmt.Fprint(down, "HTTP/1.1 200 Connection established\r\n\r\n")
		go func() { _, _ = io.Copy(up, rw) }()
		_, _ = io.Copy(down, up)
	}))
	defer proxy.Close()
	for user, want := range map[string]string{"": "", "user:pass@": "Basic dXNlcjpwYXNz"} {
		via, _ := url.Parse(strings.Replace(proxy.URL, "://", "://"+user, 1))
		client := &Client{Proxy: func(*url.URL) *url.URL { return via }, TLS: testTLS(origin)}
		resp, err := client.Do(ctx(t), Request{Method: "GET", URL: "https://example.com/a"})
		if err != nil || string(resp.Body) != "secured /a" || connected != "CONNECT example.com:443" || auth != want {
			t.Errorf("%v %v %s %q", resp, err, connected, auth)
		}
	}
}

func TestTLSWithoutAProxy(t *testing.T) {
	origin := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "secured "+r.RequestURI) }))
	client := &Client{TLS: testTLS(origin)}
	get := Request{Method: "GET", URL: origin.URL + "/a"}
	resp, err := client.Do(ctx(t), get)
	if err != nil || string(resp.Body) != "secured /a" {
		t.Errorf("%v %v", resp, err)
	}
	origin.Close()
	if resp, err := client.Do(ctx(t), get); err == nil {
		t.Errorf("nobody listens, and it was answered: %v", resp)
	}
}

func TestProxyVariables(t *testing.T) {
	env := map[string]string{"https_proxy": "proxy:3128", "HTTP_PROXY": "http://plain:80", "NO_PROXY": "internal.example, .sub.example,10.0.0.0/8, one.example:8443"}
	choose := ProxyFromEnv(func(name string) string { return env[name] })
	for target, want := range map[string]string{"https://sentry.io/": "proxy:3128", "http://sentry.io/": "plain:80", "https://internal.example/": "", "https://a.internal.example/": "", "https://xinternal.example/": "proxy:3128",
		"https://b.sub.example/": "", "https://10.1.2.3/": "", "https://11.1.2.3/": "proxy:3128", "https://127.0.0.1:9/": "", "https://localhost/": "", "https://[::1]/": "", "https://one.example:8443/": "", "https://one.example/": "proxy:3128"} {
		u, _ := url.Parse(target)
		got := ""
		if p := choose(u); p != nil {
			got = p.Host
		}
		if got != want {
			t.Errorf("%s goes through %q, want %q", target, got, want)
		}
	}
	for variable, want := range map[string]string{"https://p:1": "p:1", "http://p:2": "p:2", "ftp://p:3": "", "http://": "", "http://[": ""} {
		got := ""
		if p := ProxyFromEnv(func(name string) string { return map[string]string{"HTTPS_PROXY": variable}[name] })(&url.URL{Scheme: "https", Host: "a"}); p != nil {
			got = p.Host
		}
		if got != want {
			t.Errorf("HTTPS_PROXY=%s: %q", variable, got)
		}
	}
	if ProxyFromEnv(func(string) string { return "*" })(&url.URL{Scheme: "https", Host: "a"}) != nil {
		t.Error("NO_PROXY=* is not honoured")
	}
}

func TestServerAnswers200ToAnything(t *testing.T) {
	l := listen(t)
	bodies := make(chan string, 64)
	go func() {
		_ = Serve(l, func(body io.Reader) {
			raw, _ := io.ReadAll(body)
			bodies <- string(raw)
			if string(raw) == "panic" {
				panic("a bug")
			}
		})
	}()
	base := "http://" + l.Addr().String()
	for _, body := range []string{"one", "panic", "", strings.Repeat("x", 5<<20)} {
		for _, path := range []string{"/", "/telemetry", "/a/b?c"} {
			resp, err := http.Post(base+path, "application/json", strings.NewReader(body))
			if err != nil || resp.StatusCode != 200 {
				t.Fatalf("%v %v", resp, err)
			}
			resp.Body.Close()
			if got := <-bodies; got != body {
				t.Errorf("the body of %d bytes arrived with %d", len(body), len(got))
			}
		}
	}
	for _, raw := range []string{"GARBAGE\r\n\r\n", "POST / HTTP/1.1\r\nno colon\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi"} {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, raw)
		br := bufio.NewReader(conn)
		line, err := br.ReadString('\n')
		if strings.Contains(line, "100") {
			_, _ = br.ReadString('\n')
			line, err = br.ReadString('\n')
		}
		if !strings.Contains(line, "200") {
			t.Errorf("%q was answered with %q %v", raw, line, err)
		}
		conn.Close()
	}
}

func TestABatchThatNeverEndsIsNotAnsweredAndTheNextOneIs(t *testing.T) {
	l := listen(t)
	go func() { _ = Serve(l, func(body io.Reader) { _, _ = io.ReadAll(body) }) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf")
	if raw, err := io.ReadAll(conn); err != nil || len(raw) != 0 {
		t.Errorf("answered %q %v", raw, err)
	}
	resp, err := http.Post("http://"+l.Addr().String(), "application/json", strings.NewReader("[]"))
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v %v", resp, err)
	}
	resp.Body.Close()
}

// failing is a listener that cannot accept for a while.
type failing struct {
	net.Listener
	failures int
}

func (f *failing) Accept() (net.Conn, error) {
	if f.failures > 0 {
		f.failures--
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return f.Listener.Accept()
}

func TestServerSurvivesWhatPasses(t *testing.T) {
	l := listen(t)
	ended := make(chan error, 1)
	go func() { ended <- Serve(&failing{l, 2}, func(body io.Reader) { _, _ = io.ReadAll(body) }) }()
	resp, err := http.Post("http://"+l.Addr().String(), "application/json", strings.NewReader("[]"))
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v %v", resp, err)
	}
	resp.Body.Close()
	l.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("ended with %v", err)
	}
}
