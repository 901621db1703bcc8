package harness

import (
	"encoding/json"
	"strings"
	"time"
)

// Event is one telemetry event as JSON text.
func Event(eventType string, record any) string {
	raw, err := json.Marshal(record)
	if err != nil {
		panic(err)
	}
	return `{"time":"` + time.Now().UTC().Format("2006-01-02T15:04:05.000Z") + `","type":"` + eventType + `","record":` + string(raw) + `}`
}

// Batch joins events as one POST has them.
func Batch(events ...string) string { return "[" + strings.Join(events, ",") + "]" }

// R is a JSON object.
type R = map[string]any

// InitStart and the following are the platform's events, in their usual form.
func InitStart(phase, runtime string) string {
	return Event("platform.initStart", R{"initializationType": "on-demand", "phase": phase, "runtimeVersion": runtime, "functionName": "my-fn",
		"functionVersion": "$LATEST", "instanceId": "82561ce0-53dd-47d1-90e0-c8f5e063e62e", "instanceMaxMemory": 134217728})
}

// InitDone is platform.initRuntimeDone; an empty errorType is left out.
func InitDone(phase, status, errorType string) string {
	return Event("platform.initRuntimeDone", withError(R{"initializationType": "on-demand", "phase": phase, "status": status}, errorType))
}

// InitReport is platform.initReport.
func InitReport(phase, status, errorType string, ms float64) string {
	return Event("platform.initReport", withError(R{"initializationType": "on-demand", "phase": phase, "status": status, "metrics": R{"durationMs": ms}}, errorType))
}

// Start is platform.start.
func Start(id string) string {
	return Event("platform.start", R{"requestId": id, "version": "$LATEST", "tracing": R{"spanId": "54565fb41ac79632", "type": "X-Amzn-Trace-Id",
		"value": "Root=1-62e900b2-710d76f009d6e7785905449a;Parent=0efbd19962d95b05;Sampled=1"}})
}

// Done is platform.runtimeDone.
func Done(id, status, errorType string, ms float64) string {
	return Event("platform.runtimeDone", withError(R{"requestId": id, "status": status, "metrics": R{"durationMs": ms, "producedBytes": 0}}, errorType))
}

// Report is platform.report.
func Report(id, status, errorType string, size, used int) string {
	return Event("platform.report", withError(R{"requestId": id, "status": status,
		"metrics": R{"durationMs": 100.5, "billedDurationMs": 101, "memorySizeMB": size, "maxMemoryUsedMB": used}}, errorType))
}

// Log is a function record: a text or an object.
func Log(record any) string { return Event("function", record) }

func withError(record R, errorType string) R {
	if errorType != "" {
		record["errorType"] = errorType
	}
	return record
}
