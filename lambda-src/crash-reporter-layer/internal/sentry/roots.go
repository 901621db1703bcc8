package sentry

import (
	"crypto/tls"
	"crypto/x509"
	"sync"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// TLSConfig is made at the first crash. It uses the system's roots
// (SSL_CERT_FILE and SSL_CERT_DIR count); where a container image has none,
// Mozilla's roots in this binary are used.
var TLSConfig = sync.OnceValues(func() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	system, err := x509.SystemCertPool()
	if err == nil && !system.Equal(x509.NewCertPool()) {
		config.RootCAs = system
		return config, nil
	}
	config.RootCAs = x509.NewCertPool()
	for root := range bundle.Roots() {
		cert, err := x509.ParseCertificate(root.Certificate)
		if err != nil {
			continue
		}
		config.RootCAs.AddCertWithConstraint(cert, root.Constraint) // nil for most
	}
	return config, nil
})
