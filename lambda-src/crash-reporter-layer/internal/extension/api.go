// Package extension is the lifecycle of a Lambda extension: register, wait for
// events, shut down. Whatever happens, it does not end the process early: a
// dead extension fails the function.
package extension

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/http1"
	"cdk-serverless-blocks/crash-reporter/internal/wire"
)

// API is Lambda's Extensions and Telemetry API. The runtime API is local: it is
// never reached through a proxy.
type API struct {
	Host string // AWS_LAMBDA_RUNTIME_API
	Name string // the file name in /opt/extensions
	http http1.Client
	id   string
}

// Registration is what Lambda answers.
type Registration struct {
	FunctionName    string
	FunctionVersion string
	Handler         string
	AccountID       string
}

// Event is INVOKE or SHUTDOWN.
type Event struct {
	EventType      string
	DeadlineMs     float64
	RequestID      string
	ShutdownReason string
}

// statusError is an answer that is not a success.
type statusError struct {
	Status int
	Type   string
}

func (e statusError) Error() string { return fmt.Sprintf("status %d %s", e.Status, e.Type) }

var errNoID = errors.New("the answer has no Lambda-Extension-Identifier")

const registerTimeout = 2 * time.Second

func (a *API) call(ctx context.Context, method, path string, body map[string]any, header ...[2]string) (*http1.Response, error) {
	request := http1.Request{Method: method, URL: "http://" + a.Host + path, Header: header}
	if body != nil {
		request.Body = wire.Marshal(body)
		request.Header = append(request.Header, [2]string{"Content-Type", "application/json"})
	}
	return a.http.Do(ctx, request)
}

// register makes one attempt.
func (a *API) register(ctx context.Context, events []string) (Registration, error) {
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	resp, err := a.call(ctx, "POST", "/2020-01-01/extension/register", map[string]any{"events": events},
		[2]string{"Lambda-Extension-Name", a.Name}, [2]string{"Lambda-Extension-Accept-Feature", "accountId"})
	if err != nil {
		return Registration{}, err
	}
	if resp.Status != 200 {
		return Registration{}, statusError{resp.Status, errorType(resp.Body)}
	}
	if a.id = resp.Header.Get("Lambda-Extension-Identifier"); a.id == "" {
		return Registration{}, errNoID
	}
	answer := wire.Object(resp.Body) // nice to have, not needed
	return Registration{FunctionName: wire.String(answer["functionName"]), FunctionVersion: wire.String(answer["functionVersion"]),
		Handler: wire.String(answer["handler"]), AccountID: wire.String(answer["accountId"])}, nil
}

// next waits for the next event, without a time limit: the environment may be
// frozen for hours.
func (a *API) next(ctx context.Context) (Event, error) {
	resp, err := a.call(ctx, "GET", "/2020-01-01/extension/event/next", nil, [2]string{"Lambda-Extension-Identifier", a.id})
	if err != nil {
		return Event{}, err
	}
	if resp.Status != 200 {
		return Event{}, statusError{resp.Status, errorType(resp.Body)}
	}
	answer := wire.Object(resp.Body)
	if answer == nil {
		return Event{}, errors.New("the event is not JSON")
	}
	return Event{EventType: wire.String(answer["eventType"]), DeadlineMs: wire.Float(answer["deadlineMs"]), RequestID: wire.String(answer["requestId"]),
		ShutdownReason: strings.ToLower(wire.String(answer["shutdownReason"]))}, nil
}

// ErrNoTelemetry: a local emulator took the subscription but will send nothing.
var ErrNoTelemetry = errors.New("telemetry is not supported here")

// Subscribe asks for telemetry at the given port, in the newest schema the platform accepts.
func (a *API) Subscribe(ctx context.Context, port int) error {
	var err error
	for _, schema := range []string{"2025-01-29", "2022-12-13", "2022-07-01"} {
		err = a.subscribe(ctx, schema, port)
		var status statusError
		if !errors.As(err, &status) || status.Status != 400 {
			return err
		}
	}
	return err
}

func (a *API) subscribe(ctx context.Context, schema string, port int) error {
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	resp, err := a.call(ctx, "PUT", "/2022-07-01/telemetry", map[string]any{
		"schemaVersion": schema,
		"types":         []string{"platform", "function"},
		"buffering":     map[string]int{"maxItems": 1000, "maxBytes": 262144, "timeoutMs": 25},
		"destination":   map[string]string{"protocol": "HTTP", "URI": fmt.Sprintf("http://sandbox.localdomain:%d/telemetry", port)},
	}, [2]string{"Lambda-Extension-Identifier", a.id})
	switch {
	case err != nil:
		return err
	case resp.Status == 202:
		return ErrNoTelemetry
	case resp.Status != 200:
		return statusError{resp.Status, errorType(resp.Body)}
	}
	return nil
}

func errorType(body []byte) string {
	return wire.String(wire.Object(body)["errorType"])
}
