package sentry

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/crash"
	"cdk-serverless-blocks/crash-reporter/internal/stack"
)

// said is one member of an event as JSON, on any architecture.
func said(event map[string]any, name string) string {
	raw, _ := json.Marshal(event[name])
	arch := map[string]string{"amd64": "x86_64"}[runtime.GOARCH]
	if arch == "" {
		arch = runtime.GOARCH
	}
	return strings.ReplaceAll(string(raw), `"`+arch+`"`, `"ARCH"`)
}

var at = time.Unix(1_800_000_000, 0)

// What is not known is not said: Sentry shows an empty list or a zero as a fact.
func TestWhatIsNotKnownIsNotSaid(t *testing.T) {
	bare := []stack.Exception{{Type: "E", Frames: []stack.Frame{{Function: "f"}}}, {Type: "F"}}
	for name, want := range map[string]string{
		"breadcrumbs": "null", "debug_meta": "null", "dist": "null", "release": "null", "tags": "{}", "extra": `{"lambda":{"log_group":""}}`,
		"contexts":    `{"aws.lambda":{"function_name":"","type":"aws.lambda"},"cloud_resource":{"cloud.platform":"aws_lambda","cloud.provider":"aws"},"device":{"arch":"ARCH"}}`,
		"exception":   `{"values":[{"mechanism":{"handled":false,"type":"chained"},"stacktrace":{"frames":[{"function":"f","in_app":false}]},"type":"E","value":""},{"mechanism":{"data":{"phase":""},"handled":false,"type":"aws_lambda"},"type":"F","value":""}]}`,
		"fingerprint": `["{{ default }}",""]`,
	} {
		if got := said(BuildEvent("id", Function{}, crash.Report{Time: at, Exceptions: bare}, 0), name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := said(BuildEvent("id", Function{}, crash.Report{Time: at}, 0), "exception"); got != `{"values":[]}` {
		t.Errorf("without an exception: %s", got)
	}
}

func TestWhatIsKnownIsSaid(t *testing.T) {
	event := BuildEvent("id", full, fullReport, 1)
	for name, want := range map[string]string{
		"breadcrumbs": `{"values":[{"category":"log","message":"c","timestamp":"2027-01-15T08:00:00Z","type":"default"}]}`,
		"debug_meta":  `{"images":[{"code_file":"f","debug_id":"i","type":"sourcemap"}]}`,
		"dist":        `"d"`, "release": `"r"`, "environment": `"e"`, "timestamp": `"2027-01-15T08:00:00.000Z"`,
		"contexts":    `{"aws.lambda":{"aws_request_id":"q","duration_ms":0.5,"exit":"1","function_name":"fn","function_version":"7","handler":"h","invoked_function_arn":"arn:aws:lambda:eu-west-1:1:function:fn","logs_dropped":0.5,"max_memory_used_mb":0.5,"memory_size_mb":128,"reports_dropped":1,"shutdown_reason":"failure","type":"aws.lambda"},"cloud_resource":{"cloud.account.id":"1","cloud.platform":"aws_lambda","cloud.provider":"aws","cloud.region":"eu-west-1"},"device":{"arch":"ARCH","memory_size":134217728}}`,
		"exception":   `{"values":[{"mechanism":{"exception_id":1,"handled":false,"parent_id":0,"source":"errors[0]","type":"chained"},"module":"m","stacktrace":{"frames":[{"abs_path":"/var/task/a","colno":1,"context_line":"s","filename":"a","function":"f","in_app":false,"lineno":1,"post_context":["q"],"pre_context":["p"]}]},"type":"A","value":""},{"mechanism":{"data":{"phase":"invoke","status":"error"},"exception_id":0,"handled":false,"is_exception_group":true,"type":"aws_lambda"},"type":"B","value":"v"}]}`,
		"extra":       `{"error":{"k":"v"},"generated":["r r:3:4"],"lambda":{"log_group":"/g","log_search_url":"https://eu-west-1.c.example/cloudwatch/home?region=eu-west-1#logsV2:log-groups/log-group/$252Fg/log-events$3FfilterPattern$3D$2522q$2522","request_id":"q","suppressed":1}}`,
		"fingerprint": `["aws-lambda","Stack/Fn","T","x"]`,
		"tags":        `{"error.code":"C","lambda.construct":"Stack/Fn","lambda.error_type":"T","lambda.extension":"x","lambda.function":"fn","lambda.phase":"invoke","lambda.platform_error_type":"P","lambda.region":"eu-west-1","lambda.status":"error","lambda.suppressed":"1","phase":"invoke","t":"` + strings.Repeat("x", 196) + `..."}`,
	} {
		if got := said(event, name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestOneIssueForEachCause(t *testing.T) {
	for want, r := range map[string]crash.Report{
		`["aws-lambda","fn","Runtime.ImportModuleError","x"]`: {Type: "Runtime.ImportModuleError", Value: "Cannot find module 'x'"},
		`["aws-lambda","fn","Runtime.ImportModuleError"]`:     {Type: "Runtime.ImportModuleError", Value: "Cannot find module 'x'", Described: true},
		`["aws-lambda","fn","Runtime.HandlerNotFound"]`:       {Type: "Runtime.HandlerNotFound"},
		`["aws-lambda","fn","Runtime.MalformedHandlerName"]`:  {Type: "Runtime.MalformedHandlerName"},
		`["aws-lambda","fn","T"]`:                             {Type: "T", Described: true},
		`["{{ default }}","fn"]`:                              {Type: "T"},
	} {
		if got := said(BuildEvent("id", Function{Name: "fn"}, r, 0), "fingerprint"); got != want {
			t.Errorf("%+v: %s, want %s", r, got, want)
		}
	}
}

var full = Function{Name: "fn", Group: "Stack/Fn", Region: "eu-west-1", AccountID: "1", Partition: "aws", Version: "7", Handler: "h", MemoryMB: 128, Release: "r", Dist: "d", Environment: "e", LogGroup: "/g", ConsoleDomain: "c.example", Tags: map[string]string{"t": strings.Repeat("x", 200)}}

var fullReport = crash.Report{Time: at, Type: "T", Value: "v", Status: "error", Phase: "invoke", RequestID: "q", DurationMs: 0.5, MaxMemoryUsedMB: 0.5, LogsDropped: 0.5, ReportsDropped: 1, Described: true, Extension: "x", Exit: "1", ShutdownReason: "failure", ErrorType: "P",
	Crumbs: []crash.Crumb{{Time: at, Text: "c"}}, Images: []stack.DebugImage{{CodeFile: "f", DebugID: "i"}},
	Exceptions: []stack.Exception{
		{Type: "A", Module: "m", Member: true, Frames: []stack.Frame{{Function: "f", Path: "/var/task/a", Line: 1, Column: 1, Pre: []string{"p"}, Source: "s", Post: []string{"q"}}}},
		{Type: "B", Code: "C", Properties: map[string]string{"k": "v"}, RawFrames: []stack.Frame{{Function: "r", Path: "/var/task/r", Line: 3, Column: 4, InApp: true}, {Function: "not"}}}}}
