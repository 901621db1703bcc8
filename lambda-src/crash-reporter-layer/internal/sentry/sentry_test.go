package sentry

import (
	"crypto/tls"
	"net/textproto"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestDSN(t *testing.T) {
	for raw, want := range map[string]string{
		"https://k@o1.ingest.us.sentry.io/42":     "https://o1.ingest.us.sentry.io/api/42/envelope/ k ",
		"http://k:s@host:8000/prefix/more/7":      "http://host:8000/prefix/more/api/7/envelope/ k s",
		" https://k@host/project-is-a-string \n ": "https://host/api/project-is-a-string/envelope/ k ",
	} {
		d, err := ParseDSN(raw)
		if got := d.Endpoint + " " + d.PublicKey + " " + d.SecretKey; err != nil || got != want {
			t.Errorf("%q: %s %v, want %s", raw, got, err, want)
		}
	}
	for _, raw := range []string{"", "not a url", "https://host/1", "ftp://k@host/1", "https://k@host/", "https://k@host", "https://@host/1", "https://k@/1", "https://k%0d%0aX:1@host/1", "https://k@host/%0d%0a"} {
		if d, err := ParseDSN(raw); err == nil {
			t.Errorf("%q was taken: %+v", raw, d)
		}
	}
}

func TestRateLimits(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for name, c := range map[string]struct {
		status int
		header textproto.MIMEHeader
		want   time.Duration
	}{
		"error":                  {429, textproto.MIMEHeader{"X-Sentry-Rate-Limits": {"60:error:organization"}}, time.Minute},
		"all, with 200":          {200, textproto.MIMEHeader{"X-Sentry-Rate-Limits": {"2700::organization"}}, 45 * time.Minute},
		"others only":            {200, textproto.MIMEHeader{"X-Sentry-Rate-Limits": {"60:transaction;profile:key, 30:replay:key"}}, 0},
		"the longest counts":     {200, textproto.MIMEHeader{"X-Sentry-Rate-Limits": {"10:error:key, 2.5:default;error:organization:quota:ns, 99:metric_bucket:key"}}, 10 * time.Second},
		"several header lines":   {200, textproto.MIMEHeader{"X-Sentry-Rate-Limits": {"10:error:key", "20::key"}}, 20 * time.Second},
		"429 with others only":   {429, textproto.MIMEHeader{"X-Sentry-Rate-Limits": {"60:transaction:key"}}, 0},
		"429 with Retry-After":   {429, textproto.MIMEHeader{"Retry-After": {"7"}}, 7 * time.Second},
		"429 with a date":        {429, textproto.MIMEHeader{"Retry-After": {now.Add(90 * time.Second).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")}}, 90 * time.Second},
		"429 bare":               {429, textproto.MIMEHeader{}, time.Minute},
		"429 with junk":          {429, textproto.MIMEHeader{"Retry-After": {"soon"}}, time.Minute},
		"200 with Retry-After":   {200, textproto.MIMEHeader{"Retry-After": {"7"}}, 0},
		"unreadable number":      {200, textproto.MIMEHeader{"X-Sentry-Rate-Limits": {"x:error:key"}}, time.Minute},
		"not longer than a day":  {200, textproto.MIMEHeader{"X-Sentry-Rate-Limits": {"99999999999:error:key"}}, 24 * time.Hour},
		"negative and empty":     {200, textproto.MIMEHeader{"X-Sentry-Rate-Limits": {"-1:transaction:key,,"}}, 0},
		"nothing without limits": {200, textproto.MIMEHeader{}, 0},
	} {
		if got := retryAfter(c.status, c.header, now); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// The configuration is made once per process, so the test without a system
// store runs in a process of its own.
func TestEmbeddedRootsWhereTheSystemHasNone(t *testing.T) {
	if os.Getenv("WITHOUT_ROOTS") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestEmbeddedRootsWhereTheSystemHasNone$", "-test.v")
		cmd.Env = append(os.Environ(), "WITHOUT_ROOTS=1", "SSL_CERT_FILE=/nonexistent", "SSL_CERT_DIR=/nonexistent")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
			t.Fatalf("%v %s", err, out)
		}
		return
	}
	config, err := TLSConfig()
	if err != nil || config.MinVersion != tls.VersionTLS12 {
		t.Fatal(err)
	}
	if n := len(config.RootCAs.Subjects()); n < 100 {
		t.Errorf("%d roots", n)
	}
}

func FuzzDSN(f *testing.F) {
	f.Add("https://k:s@host/1", "10:error:key")
	f.Fuzz(func(t *testing.T, dsn, limits string) {
		if d, err := ParseDSN(dsn); err == nil && strings.ContainsAny(d.auth(), "\r\n") {
			t.Errorf("a header could be injected: %q", d.auth())
		}
		if d := parseRateLimits(limits); d < 0 || d > 24*time.Hour {
			t.Errorf("%v", d)
		}
	})
}
