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
	field  string
	mu     sync.Mutex
	value  string
	calls  []*http.Request
}

// NewAWS starts it; with a field the secret is a JSON object that has it.
func NewAWS(t testing.TB, value, field string) *AWS {
	a := &AWS{field: field}
	a.Put(value)
	a.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.calls = append(a.calls, r)
		value := a.value
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

// Put changes the value.
func (a *AWS) Put(value string) {
	if a.field != "" {
		raw, err := json.Marshal(map[string]string{a.field: value})
		if err != nil {
			panic(err)
		}
		value = string(raw)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.value = value
}

// URL is the endpoint.
func (a *AWS) URL() string { return a.server.URL }

// Calls returns the requests so far.
func (a *AWS) Calls() []*http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]*http.Request(nil), a.calls...)
}
