// Package sentry speaks Sentry's envelope protocol, in the subset that Sentry,
// GlitchTip and Bugsink share: one event per envelope.
package sentry

import (
	"errors"
	"net/url"
	"strings"
)

// DSN is where events go and with which key.
type DSN struct {
	Endpoint  string // the envelope endpoint; holds no key
	PublicKey string
	SecretKey string
}

// ErrDSN never quotes the DSN: it is a kind of secret.
var ErrDSN = errors.New("the DSN is not of the form https://<public key>@<host>/<project id>")

// ParseDSN reads {PROTO}://{PUBLIC}[:{SECRET}]@{HOST}[:PORT]{PATH}/{PROJECT_ID}.
func ParseDSN(raw string) (DSN, error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "" || u.User == nil || u.User.Username() == "" {
		return DSN{}, ErrDSN
	}
	path := strings.TrimSuffix(u.Path, "/")
	slash := strings.LastIndexByte(path, '/')
	if slash < 0 || path[slash+1:] == "" {
		return DSN{}, ErrDSN
	}
	secret, _ := u.User.Password()
	project := path[slash+1:]
	for _, part := range []string{u.User.Username(), secret, project} {
		if strings.ContainsAny(part, " ,=\"\r\n\t") { // they go into a header
			return DSN{}, ErrDSN
		}
	}
	endpoint := url.URL{Scheme: u.Scheme, Host: u.Host, Path: path[:slash] + "/api/" + project + "/envelope/"}
	return DSN{Endpoint: endpoint.String(), PublicKey: u.User.Username(), SecretKey: secret}, nil
}

func (d DSN) auth() string {
	auth := "Sentry sentry_version=7, sentry_client=" + Client + ", sentry_key=" + d.PublicKey
	if d.SecretKey != "" {
		auth += ", sentry_secret=" + d.SecretKey
	}
	return auth
}
