package http1

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// pipes is a listener within the process, so that a test knows when everybody waits.
type pipes struct {
	net.Listener
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func TestSixteenConnectionsAtMostAndTwoBodiesAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var accepted, handled, answered atomic.Int32
		release := make(chan struct{})
		l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		go func() { _ = Serve(l, func(io.Reader) { handled.Add(1); <-release }) }()
		var clients sync.WaitGroup
		for range 40 {
			clients.Go(func() {
				client, server := net.Pipe()
				defer client.Close()
				l.conns <- server
				accepted.Add(1)
				fmt.Fprint(client, "POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 2\r\n\r\n[]")
				if answer, err := io.ReadAll(client); err == nil && strings.HasPrefix(string(answer), "HTTP/1.1 200") {
					answered.Add(1)
				}
			})
		}
		synctest.Wait()
		if accepted.Load() != 16 || handled.Load() != 2 {
			t.Errorf("%d connections, %d bodies", accepted.Load(), handled.Load())
		}
		close(release)
		clients.Wait()
		if answered.Load() != 40 {
			t.Errorf("%d of 40 were answered", answered.Load())
		}
		close(l.closed)
	})
}

func TestAConnectionIsKeptAndTheNextRequestBeginsAfterTheTrailers(t *testing.T) {
	l := listen(t)
	bodies := make(chan string, 4)
	go func() {
		_ = Serve(l, func(body io.Reader) {
			raw, _ := io.ReadAll(body)
			bodies <- string(raw)
		})
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\nA: b\r\nC: d\r\n\r\n",
		"POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 3\r\n\r\ntwo")
	answers, err := io.ReadAll(conn)
	close(bodies)
	var got []string
	for body := range bodies {
		got = append(got, body)
	}
	if err != nil || fmt.Sprint(got) != "[one two]" || strings.Count(string(answers), "200 OK") != 2 {
		t.Errorf("%v %q %v", got, answers, err)
	}
}

func TestChunksAreReadAsTheyCome(t *testing.T) {
	read := func(text string) (int, error) {
		return (&chunkedReader{br: bufio.NewReader(strings.NewReader(text))}).Read(make([]byte, 8))
	}
	if n, err := read("3\r\nabc\r\n0\r\n\r\n"); n != 3 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if n, err := read("0\r\n\r\n"); n != 0 || err != io.EOF {
		t.Errorf("no bytes: %d, %v", n, err)
	}
	if _, err := read("zz\r\nabc\r\n"); err == nil || !strings.Contains(err.Error(), "chunk size") {
		t.Errorf("a chunk without a size: %v", err)
	}
}

// A server may refuse and close before it has read all: its answer is what counts, not the broken connection.
func TestAnAnswerCountsThatCameBeforeTheRequestWasSent(t *testing.T) {
	l := listen(t)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_ = headOf(conn)
		_, _ = io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
	}()
	resp, err := (&Client{}).Do(ctx(t), Request{Method: "POST", URL: "http://" + l.Addr().String() + "/", Body: make([]byte, 32<<20)})
	if err != nil || resp.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("%v %v", resp, err)
	}
}
