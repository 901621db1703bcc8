package harness

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// AWS answers GetSecretValue and GetParameter with one value.
type AWS struct {
	server *httptest.Server
	mu     sync.Mutex
	calls  []*http.Request
}

// NewAWS starts it; with a field the secret is a JSON object that has it.
func NewAWS(t testing.TB, value, field string) *AWS {
	a := &AWS{}
	if field != "" {
		raw, err := json.Marshal(map[string]string{field: value})
		if err != nil {
			t.Fatal(err)
		}
		value = string(raw)
	}
	a.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.calls = append(a.calls, r)
		a.mu.Unlock()
		if strings.HasPrefix(r.Header.Get("X-Amz-Target"), "AmazonSSM.") {
			fmt.Fprintf(w, `{"Parameter":{"Value":%q}}`, value)
		} else {
			fmt.Fprintf(w, `{"SecretString":%q}`, value)
		}
	}))
	t.Cleanup(a.server.Close)
	return a
}

// URL is the endpoint.
func (a *AWS) URL() string { return a.server.URL }

// Calls returns the requests so far.
func (a *AWS) Calls() []*http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]*http.Request(nil), a.calls...)
}
