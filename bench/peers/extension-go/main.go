// The skeleton of an extension in Go as a first version would be written, for the benchmark
// of CrashReporterLayer: net/http on both sides, encoding/json, TLS. It
// registers, listens, subscribes, looks through each batch for one error, and
// can post it. Nothing else, and not shipped.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

const wanted = "Runtime.HandlerNotFound"

func main() {
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API")
	registered := call("POST", api+"/2020-01-01/extension/register", `{"events":["SHUTDOWN"]}`, "Lambda-Extension-Name", filepath.Base(os.Args[0]))
	registered.Body.Close()
	id := registered.Header.Get("Lambda-Extension-Identifier")
	host := os.Getenv("CRASH_REPORTER_LISTEN_HOST")
	if host == "" {
		host = "0.0.0.0"
	}
	listener, err := net.Listen("tcp", host+":0")
	if err != nil {
		panic(err)
	}
	go http.Serve(listener, http.HandlerFunc(batch))
	port := listener.Addr().(*net.TCPAddr).Port
	subscribed := call("PUT", api+"/2022-07-01/telemetry", fmt.Sprintf(`{"schemaVersion":"2022-12-13","types":["platform","function"],`+
		`"buffering":{"maxItems":1000,"maxBytes":262144,"timeoutMs":25},"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:%d/"}}`, port), "Lambda-Extension-Identifier", id)
	subscribed.Body.Close()
	for {
		next := call("GET", api+"/2020-01-01/extension/event/next", "", "Lambda-Extension-Identifier", id)
		var event struct{ EventType string }
		_ = json.NewDecoder(next.Body).Decode(&event)
		next.Body.Close()
		if event.EventType == "SHUTDOWN" {
			return
		}
	}
}

func call(method, url, body, header, value string) *http.Response {
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	request.Header.Set(header, value)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		panic(err)
	}
	return response
}

func batch(w http.ResponseWriter, r *http.Request) {
	var events []struct {
		Type   string
		Record json.RawMessage
	}
	_ = json.NewDecoder(r.Body).Decode(&events)
	for _, event := range events {
		if url := os.Getenv("REPORT_TO"); url != "" && event.Type == "function" && bytes.Contains(event.Record, []byte(wanted)) {
			if response, err := http.Post(url, "application/json", bytes.NewReader(event.Record)); err == nil {
				response.Body.Close()
			}
		}
	}
}
