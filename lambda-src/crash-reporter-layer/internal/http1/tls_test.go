package http1

import (
	"crypto/tls"
	"crypto/x509"
	"net/http/httptest"
)

// testTLS trusts the certificate of a test server, which is for example.com.
func testTLS(server *httptest.Server) func() (*tls.Config, error) {
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return func() (*tls.Config, error) { return &tls.Config{RootCAs: pool}, nil }
}
