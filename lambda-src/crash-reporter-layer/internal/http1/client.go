package http1

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxResponse is enough for every answer we read; the rest is ignored.
const maxResponse = 64 << 10

// Request is one HTTP request. Header keys are sent as given.
type Request struct {
	Method string
	URL    string
	Header [][2]string
	Body   []byte
}

// Response is the answer. Body holds at most maxResponse bytes.
type Response struct {
	Status int
	Header textproto.MIMEHeader
	Body   []byte
}

// Client opens one connection per request: a pooled connection would be dead
// after a freeze, and a fresh one on loopback costs tens of microseconds.
type Client struct {
	// ConnectTimeout bounds TCP connect and TLS handshake; 0 means only the context does.
	ConnectTimeout time.Duration
	// Proxy picks a proxy for a target, nil means direct.
	Proxy func(*url.URL) *url.URL
	// TLS makes the configuration lazily, because loading root certificates costs memory.
	TLS func() (*tls.Config, error)
}

// Do sends the request and reads the answer. The context bounds the whole exchange.
func (c *Client) Do(ctx context.Context, req Request) (*Response, error) {
	target, err := url.Parse(req.URL)
	if err != nil || target.Host == "" {
		return nil, errors.New("invalid request URL")
	}
	conn, absolute, proxyAuth, err := c.connect(ctx, target)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	var head bytes.Buffer
	path := target.RequestURI()
	if absolute {
		path = target.Scheme + "://" + target.Host + path
	}
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", req.Method, path, target.Host)
	if proxyAuth != "" {
		fmt.Fprintf(&head, "Proxy-Authorization: %s\r\n", proxyAuth)
	}
	for _, field := range req.Header {
		fmt.Fprintf(&head, "%s: %s\r\n", field[0], field[1])
	}
	if len(req.Body) > 0 || req.Method == "POST" || req.Method == "PUT" {
		fmt.Fprintf(&head, "Content-Length: %d\r\n", len(req.Body))
	}
	head.WriteString("\r\n")
	if _, err := (&net.Buffers{head.Bytes(), req.Body}).WriteTo(conn); err != nil {
		// A server may answer (413, 429) and close before it has read everything.
		if resp, rerr := readResponse(conn, req.Method); rerr == nil {
			return resp, nil
		}
		return nil, err
	}
	return readResponse(conn, req.Method)
}

func readResponse(conn io.Reader, method string) (*Response, error) {
	br := bufio.NewReaderSize(conn, 4096)
	for {
		line, header, err := readHead(br)
		if err != nil {
			return nil, err
		}
		status, err := parseStatus(line)
		if err != nil {
			return nil, err
		}
		if status >= 100 && status < 200 {
			continue
		}
		resp := &Response{Status: status, Header: header}
		if method == "HEAD" || method == "CONNECT" || status == 204 || status == 304 {
			return resp, nil
		}
		body, err := bodyReader(br, header, true)
		if err != nil {
			return nil, err
		}
		resp.Body, err = io.ReadAll(io.LimitReader(body, maxResponse))
		return resp, err
	}
}

func parseStatus(line string) (int, error) {
	proto, rest, _ := strings.Cut(line, " ")
	code, _, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	if !strings.HasPrefix(proto, "HTTP/1.") || err != nil || status < 100 || status > 999 {
		return 0, errors.New("invalid status line")
	}
	return status, nil
}

// connect dials the target or its proxy. absolute says that the request line
// needs the absolute form, as a plain-HTTP proxy wants it.
func (c *Client) connect(ctx context.Context, target *url.URL) (conn net.Conn, absolute bool, proxyAuth string, err error) {
	if c.ConnectTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.ConnectTimeout)
		defer cancel()
	}
	var proxy *url.URL
	if c.Proxy != nil {
		proxy = c.Proxy(target)
	}
	if proxy == nil {
		conn, err = c.dial(ctx, target)
		return conn, false, "", err
	}
	if proxy.User != nil {
		password, _ := proxy.User.Password()
		proxyAuth = "Basic " + base64.StdEncoding.EncodeToString([]byte(proxy.User.Username()+":"+password))
	}
	conn, err = c.dial(ctx, proxy)
	if err != nil {
		return nil, false, "", fmt.Errorf("proxy: %w", err)
	}
	if target.Scheme == "http" {
		return conn, true, proxyAuth, nil
	}
	tunnel, err := c.tunnel(ctx, conn, target, proxyAuth)
	if err != nil {
		conn.Close()
		return nil, false, "", err
	}
	return tunnel, false, "", nil
}

func (c *Client) dial(ctx context.Context, u *url.URL) (net.Conn, error) {
	dialer := net.Dialer{KeepAlive: 30 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", hostPort(u))
	if err != nil || u.Scheme != "https" {
		return conn, err
	}
	secured, err := c.handshake(ctx, conn, u.Hostname())
	if err != nil {
		conn.Close()
	}
	return secured, err
}

func (c *Client) handshake(ctx context.Context, conn net.Conn, serverName string) (net.Conn, error) {
	config := &tls.Config{}
	if c.TLS != nil {
		made, err := c.TLS()
		if err != nil {
			return nil, err
		}
		config = made.Clone()
	}
	config.ServerName = serverName
	secured := tls.Client(conn, config)
	return secured, secured.HandshakeContext(ctx)
}

func (c *Client) tunnel(ctx context.Context, conn net.Conn, target *url.URL, proxyAuth string) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	auth := ""
	if proxyAuth != "" {
		auth = "Proxy-Authorization: " + proxyAuth + "\r\n"
	}
	address := hostPort(target)
	if _, err := fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", address, address, auth); err != nil {
		stop()
		return nil, err
	}
	// One byte at a time: what follows the head belongs to TLS.
	resp, err := readResponse(&byteReader{conn}, "CONNECT")
	stop()
	if err != nil {
		return nil, fmt.Errorf("proxy CONNECT: %w", err)
	}
	if resp.Status != 200 {
		return nil, fmt.Errorf("proxy CONNECT: status %d", resp.Status)
	}
	return c.handshake(ctx, conn, target.Hostname())
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "80"
		if u.Scheme == "https" {
			port = "443"
		}
	}
	return net.JoinHostPort(u.Hostname(), port)
}
