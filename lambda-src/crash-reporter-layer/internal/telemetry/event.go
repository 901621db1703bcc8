// Package telemetry reads what Lambda's Telemetry API posts: batches of
// platform events and function log records, in any state they may arrive.
package telemetry

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/wire"
)

// Event is one telemetry event. Fields that an event does not have are empty:
// every one of them is optional, and several have changed type over time.
type Event struct {
	Time time.Time
	Type string // "platform.runtimeDone", "function", …

	RequestID  string
	Status     string
	ErrorType  string
	Phase      string
	InitType   string
	Runtime    string
	InstanceID string
	Version    string
	Name       string // of an extension
	State      string // of an extension
	TraceValue string
	SpanID     string

	DurationMs      float64
	MemorySizeMB    float64
	MaxMemoryUsedMB float64
	DroppedRecords  float64

	Log []byte // the raw JSON of a function record: a string or an object
}

// Failed says that the event carries a status other than success. A missing or
// unknown status is not a failure: reporting it would invent crashes.
func (e *Event) Failed() bool {
	return e.Status == "error" || e.Status == "failure" || e.Status == "timeout"
}

// IsLog tells a function record from a platform event without parsing it.
func IsLog(raw []byte) bool {
	return bytes.Contains(raw[:min(len(raw), 96)], []byte(`"type":"function"`))
}

// Decode reads one event. Anything odd in it leaves fields empty.
func Decode(raw []byte) (Event, bool) {
	members := wire.Object(raw)
	event := Event{Type: wire.String(members["type"])}
	if event.Type == "" {
		return Event{}, false
	}
	event.Time, _ = time.Parse(time.RFC3339Nano, wire.String(members["time"]))
	if event.Type == "function" {
		event.Log = append([]byte(nil), members["record"]...) // raw is used again for the next event
		return event, true
	}
	if !strings.HasPrefix(event.Type, "platform.") {
		return event, true
	}
	record := wire.Object(members["record"])
	event.RequestID = text(record["requestId"])
	event.Status = strings.ToLower(text(record["status"]))
	event.ErrorType = text(record["errorType"])
	event.Phase = text(record["phase"])
	event.InitType = text(record["initializationType"])
	event.Runtime = text(record["runtimeVersion"])
	event.InstanceID = text(record["instanceId"])
	event.Version = text(record["functionVersion"])
	event.Name = text(record["name"])
	event.State = text(record["state"])
	event.DroppedRecords = number(record["droppedRecords"])
	tracing := wire.Object(record["tracing"])
	event.TraceValue, event.SpanID = text(tracing["value"]), text(tracing["spanId"])
	metrics := wire.Object(record["metrics"])
	event.DurationMs = number(metrics["durationMs"])
	event.MemorySizeMB = number(metrics["memorySizeMB"])
	event.MaxMemoryUsedMB = number(metrics["maxMemoryUsedMB"])
	return event, true
}

const maxField = 512

func text(raw wire.Raw) string {
	s := wire.String(raw)
	if len(s) > maxField {
		s = strings.ToValidUTF8(s[:maxField], "")
	}
	return s
}

// number takes 128, 128.0 and "128".
func number(raw wire.Raw) float64 {
	n, err := strconv.ParseFloat(strings.Trim(string(raw), `" `), 64)
	if err != nil || n != n || n > 1e15 {
		return 0
	}
	return max(n, 0)
}
