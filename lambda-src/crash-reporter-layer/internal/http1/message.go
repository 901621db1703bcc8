// Package http1 is the part of HTTP/1.1 this extension needs: one request per
// connection as a client, a sink for POSTs as a server.
//
// net/http would do it too, but adds 1.6 MB to the binary and 0.6 MB to the
// resident memory of every function the layer is attached to.
package http1

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"strconv"
	"strings"
)

// maxHeader bounds what a peer can make us hold for one message head.
const maxHeader = 32 << 10

var errHeaderTooLarge = errors.New("message head is larger than 32 KiB")

// readHead reads the start line and the header fields of a message.
func readHead(br *bufio.Reader) (string, textproto.MIMEHeader, error) {
	limited := &io.LimitedReader{R: br, N: maxHeader}
	// The limit must not read ahead: the body follows in the same reader.
	tp := textproto.NewReader(bufio.NewReaderSize(&byteReader{limited}, 16))
	line, err := tp.ReadLine()
	if err != nil {
		return "", nil, headError(limited, err)
	}
	header, err := tp.ReadMIMEHeader()
	if err != nil {
		return "", nil, headError(limited, err)
	}
	return line, header, nil
}

func headError(l *io.LimitedReader, err error) error {
	if l.N <= 0 {
		return errHeaderTooLarge
	}
	return err
}

// byteReader hands out one byte per call, so a buffering reader on top of it
// never takes more from the connection than the head.
type byteReader struct{ r io.Reader }

func (b *byteReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return b.r.Read(p[:1])
}

// bodyReader returns the body of a message. untilClose says what a message
// without a length means: the rest of the connection (response) or nothing (request).
func bodyReader(br *bufio.Reader, header textproto.MIMEHeader, untilClose bool) (io.Reader, error) {
	if strings.EqualFold(header.Get("Transfer-Encoding"), "chunked") {
		return &chunkedReader{br: br}, nil
	}
	if length := header.Get("Content-Length"); length != "" {
		n, err := strconv.ParseInt(length, 10, 64)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("invalid Content-Length")
		}
		return io.LimitReader(br, n), nil
	}
	if untilClose {
		return br, nil
	}
	return strings.NewReader(""), nil
}

type chunkedReader struct {
	br   *bufio.Reader
	left int64
	done bool
}

func (c *chunkedReader) Read(p []byte) (int, error) {
	if c.done {
		return 0, io.EOF
	}
	if c.left == 0 {
		if err := c.nextChunk(); err != nil {
			return 0, err
		}
		if c.done {
			return 0, io.EOF
		}
	}
	n, err := c.br.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if c.left == 0 && err == nil {
		_, err = c.br.Discard(2) // CRLF after the chunk
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (c *chunkedReader) nextChunk() error {
	line, err := c.br.ReadSlice('\n')
	if err != nil {
		return err
	}
	size, _, _ := strings.Cut(strings.TrimSpace(string(line)), ";")
	n, err := strconv.ParseInt(strings.TrimSpace(size), 16, 64)
	if err != nil || n < 0 {
		return errors.New("invalid chunk size")
	}
	c.left = n
	if n > 0 {
		return nil
	}
	c.done = true
	for { // trailers, then the empty line
		line, err := c.br.ReadSlice('\n')
		if err != nil || len(strings.TrimSpace(string(line))) == 0 {
			return err
		}
	}
}
