package http1

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// Each limit from both sides: otherwise nobody would see it change.
func TestLimits(t *testing.T) {
	for length, want := range map[int]int{64 << 10: 64 << 10, 64<<10 + 1: 64 << 10} {
		resp, err := answerWith(t, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", length, strings.Repeat("x", length)))
		if err != nil || len(resp.Body) != want {
			t.Errorf("a body of %d: %v", length, err)
		}
	}
	for status, want := range map[string]bool{"099": false, "200": true, "999": true, "1000": false} {
		if _, err := answerWith(t, "HTTP/1.1 "+status+" x\r\nContent-Length: 0\r\n\r\n"); (err == nil) != want {
			t.Errorf("status %s: %v", status, err)
		}
	}
	const line, field = "HTTP/1.1 200 OK\r\n", "X: \r\n\r\n"
	for length, want := range map[int]bool{32 << 10: true, 32<<10 + 1: false} {
		value := strings.Repeat("x", length-len(line)-len(field))
		if _, err := answerWith(t, line+strings.Replace(field, " ", " "+value, 1)); (err == nil) != want {
			t.Errorf("a head of %d bytes: %v", length, err)
		}
	}
	// Where a head has its limit's length and no end, it is too long; where it breaks off before, that is the
	// error.
	if _, err := answerWith(t, line+"X: "+strings.Repeat("x", 32<<10)); err != errHeaderTooLarge {
		t.Errorf("a head without an end: %v", err)
	}
	if _, err := answerWith(t, line+"X: y"); err == nil || err == errHeaderTooLarge {
		t.Errorf("a head that breaks off: %v", err)
	}
}

func TestALengthIsSaidWhereThereIsABodyOrOneIsExpected(t *testing.T) {
	for _, c := range []struct{ method, body, want string }{
		{"GET", "", ""}, {"GET", "x", "1"}, {"POST", "", "0"}, {"PUT", "", "0"}, {"POST", "xyz", "3"},
	} {
		l := listen(t)
		heads := make(chan string, 1)
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			heads <- headOf(conn)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}()
		if _, err := (&Client{}).Do(ctx(t), Request{Method: c.method, URL: "http://" + l.Addr().String() + "/", Body: []byte(c.body)}); err != nil {
			t.Fatal(err)
		}
		got := http.Header{}
		for _, line := range strings.Split(<-heads, "\r\n") {
			if name, value, ok := strings.Cut(line, ": "); ok {
				got.Set(name, value)
			}
		}
		if got.Get("Content-Length") != c.want {
			t.Errorf("%s %q: length %q", c.method, c.body, got.Get("Content-Length"))
		}
	}
}

func headOf(conn net.Conn) string {
	var head []byte
	for one := make([]byte, 1); !strings.HasSuffix(string(head), "\r\n\r\n"); head = append(head, one[0]) {
		if _, err := conn.Read(one); err != nil {
			break
		}
	}
	return string(head)
}
