package http1

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

const (
	maxConnections = 16
	maxConcurrent  = 2
	readTimeout    = 2 * time.Second
	idleTimeout    = 10 * time.Minute
	acceptPause    = 50 * time.Millisecond
)

// Serve answers 200 to every request on l that it gets as a whole, whatever it
// holds: another answer makes Lambda deliver the same batch again and again. The handler gets each
// body as a stream; two bodies at most are read at the same time.
func Serve(l net.Listener, handle func(body io.Reader)) error {
	connections := make(chan struct{}, maxConnections)
	working := make(chan struct{}, maxConcurrent)
	for {
		connections <- struct{}{}
		conn, err := l.Accept()
		if err != nil {
			<-connections
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			time.Sleep(acceptPause) // out of file descriptors, perhaps: that may pass
			continue
		}
		go func() {
			defer func() {
				_ = recover() // a bug here may lose one batch, never the process
				conn.Close()
				<-connections
			}()
			serveConn(conn, handle, working)
		}()
	}
}

func serveConn(conn net.Conn, handle func(io.Reader), working chan struct{}) {
	br := bufio.NewReaderSize(conn, 4096)
	for {
		conn.SetReadDeadline(time.Now().Add(idleTimeout))
		if _, err := br.Peek(1); err != nil {
			return
		}
		keep, answered := serveOne(conn, br, handle, working)
		if !answered || !keep {
			return
		}
	}
}

func serveOne(conn net.Conn, br *bufio.Reader, handle func(io.Reader), working chan struct{}) (keep, answered bool) {
	working <- struct{}{}
	defer func() { <-working }()
	conn.SetReadDeadline(time.Now().Add(readTimeout))
	line, header, err := readHead(br)
	if err != nil {
		return false, reply(conn, false)
	}
	if strings.EqualFold(header.Get("Expect"), "100-continue") {
		if _, err := io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
			return false, false
		}
	}
	body, err := bodyReader(br, header, false)
	if err != nil {
		return false, reply(conn, false)
	}
	keep = !strings.EqualFold(header.Get("Connection"), "close") && strings.HasSuffix(line, "HTTP/1.1")
	watched := &watchedReader{r: body}
	protect(func() { handle(watched) })
	// Whatever the handler left unread must go, or the next request starts in it.
	_, _ = io.Copy(io.Discard, watched)
	if errors.Is(watched.err, os.ErrDeadlineExceeded) {
		return false, false // the environment was frozen meanwhile: without an answer Lambda delivers the batch again
	}
	keep = keep && watched.err == nil
	return keep, reply(conn, keep)
}

// watchedReader remembers that the connection broke within the body.
type watchedReader struct {
	r   io.Reader
	err error
}

func (c *watchedReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

func protect(f func()) {
	defer func() { _ = recover() }()
	f()
}

func reply(conn net.Conn, keep bool) bool {
	conn.SetWriteDeadline(time.Now().Add(readTimeout))
	answer := "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	if keep {
		answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	}
	_, err := io.WriteString(conn, answer)
	return err == nil
}
