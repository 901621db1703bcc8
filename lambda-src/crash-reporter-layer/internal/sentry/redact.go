package sentry

import (
	"sort"
	"strings"
)

const redacted = "[redacted]"

// minSecret: shorter values would also hit ordinary words.
const minSecret = 6

// Redactor removes secrets from every text that is sent.
type Redactor struct {
	values []string
	keys   []string // lower case; the value that follows such a key is secret
}

// secretName: an environment variable named like this holds a secret.
func secretName(name string) bool {
	name = strings.ToUpper(name)
	for _, word := range []string{"SECRET", "TOKEN", "PASSWORD", "PASSWD", "CREDENTIAL", "PRIVATE", "APIKEY", "API_KEY", "ACCESS_KEY"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return strings.HasSuffix(name, "_KEY") || strings.HasSuffix(name, "DSN")
}

// NewRedactor knows the values of environment variables whose names say that
// they are secret, of those the user names, and the names themselves as keys.
// environ is as from os.Environ.
func NewRedactor(environ, names []string) *Redactor {
	r := &Redactor{keys: []string{"authorization"}}
	listed := map[string]bool{}
	for _, name := range names {
		if name = strings.TrimSpace(name); name != "" {
			listed[name] = true
			r.keys = append(r.keys, strings.ToLower(name))
		}
	}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if len(value) < minSecret || notSecret[name] {
			continue
		}
		if listed[name] || secretName(name) {
			r.values = append(r.values, value)
		}
	}
	r.sort()
	return r
}

// notSecret names where a secret is, not what it is.
var notSecret = map[string]bool{"CRASH_REPORTER_DSN_SECRET_ARN": true, "CRASH_REPORTER_DSN_SECRET_FIELD": true}

// Add makes another value a secret.
func (r *Redactor) Add(value string) {
	if len(value) >= minSecret {
		r.values = append(r.values, value)
		r.sort()
	}
}

// sort puts the longest first, so that a secret that contains another goes whole.
func (r *Redactor) sort() {
	sort.Slice(r.values, func(i, j int) bool { return len(r.values[i]) > len(r.values[j]) })
}

// Text returns s without secrets.
func (r *Redactor) Text(s string) string {
	for _, value := range r.values {
		s = strings.ReplaceAll(s, value, redacted)
	}
	for _, key := range r.keys {
		s = redactAfter(s, key)
	}
	return redactPasswords(s)
}

// redactAfter takes out what follows `key: `, `key=` or `"key":"`, a word like
// Bearer before it included.
func redactAfter(s, key string) string {
	var out strings.Builder
	for {
		at := indexFold(s, key)
		if at < 0 {
			break
		}
		at += len(key)
		out.WriteString(s[:at])
		s = s[at:]
		value := strings.TrimLeft(s, `"'\ `)
		if value == "" || (value[0] != ':' && value[0] != '=') {
			continue
		}
		value = strings.TrimLeft(value[1:], `"'\ `)
		out.WriteString(s[:len(s)-len(value)])
		for _, scheme := range []string{"bearer ", "basic ", "digest ", "token ", "aws4-hmac-sha256 "} {
			if len(value) > len(scheme) && strings.EqualFold(value[:len(scheme)], scheme) {
				value = value[len(scheme):]
			}
		}
		end := strings.IndexAny(value, " \t\r\n\"',;}\\")
		if end < 0 {
			end = len(value)
		}
		if end > 0 {
			out.WriteString(redacted)
		}
		s = value[end:]
	}
	out.WriteString(s)
	return out.String()
}

// indexFold is strings.Index for an ASCII key in any case.
func indexFold(s, key string) int {
	for i := 0; i+len(key) <= len(s); i++ {
		if s[i]|0x20 == key[0]|0x20 && strings.EqualFold(s[i:i+len(key)], key) {
			return i
		}
	}
	return -1
}

// redactPasswords takes the password out of every URL with one.
func redactPasswords(s string) string {
	var out strings.Builder
	for {
		before, rest, ok := strings.Cut(s, "://")
		out.WriteString(before)
		if !ok {
			return out.String()
		}
		out.WriteString("://")
		end := strings.IndexAny(rest, "/ \t\r\n\"'")
		if end < 0 {
			end = len(rest)
		}
		authority := rest[:end]
		colon, host := strings.IndexByte(authority, ':'), strings.LastIndexByte(authority, '@')
		if colon >= 0 && host > colon {
			authority = authority[:colon+1] + redacted + authority[host:]
		}
		out.WriteString(authority)
		s = rest[end:]
	}
}

// Walk redacts every text within a value made of maps, slices and strings.
func (r *Redactor) Walk(value any) any {
	switch v := value.(type) {
	case string:
		return r.Text(v)
	case map[string]any:
		for key, inner := range v {
			v[key] = r.Walk(inner)
		}
	case map[string]string:
		for key, inner := range v {
			v[key] = r.Text(inner)
		}
	case []any:
		for i, inner := range v {
			v[i] = r.Walk(inner)
		}
	case []map[string]any:
		for _, inner := range v {
			r.Walk(inner)
		}
	case []string:
		for i, inner := range v {
			v[i] = r.Text(inner)
		}
	}
	return value
}
