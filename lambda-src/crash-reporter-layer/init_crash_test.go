package main

import (
	"strings"
	"testing"

	. "cdk-serverless-blocks/crash-reporter/internal/harness"
)

const nodeImportError = "2026-11-21T02:30:00.000Z\tundefined\tERROR\tUncaught Exception \t" +
	`{"errorType":"Runtime.ImportModuleError","errorMessage":"Error: Cannot find module 'x'","stack":["Runtime.ImportModuleError: Error: Cannot find module 'x'",` +
	`"    at _loadUserApp (file:///var/runtime/index.mjs:1087:17)","    at async UserFunction.js.module.exports.load (file:///var/runtime/index.mjs:1119:21)",` +
	`"    at Object.<anonymous> (/var/task/index.js:3:15)"]}` + "\n"

func TestHandlerNotFoundInInitAndInvokeIsOneEvent(t *testing.T) {
	lambda, sink := environment(t)
	lambda.Post(Batch(InitStart("init", "nodejs:20.v22"), InitDone("init", "error", "Runtime.HandlerNotFound"), InitReport("init", "error", "Runtime.HandlerNotFound", 125.3)))
	lambda.Shutdown("failure")
	event := one(t, sink)
	want(t, event, lastType, "Runtime.HandlerNotFound", "level", "fatal", "tags/phase", "init", "tags/lambda.phase", "init", "platform", "node",
		"contexts/aws.lambda/duration_ms", "125.3", "contexts/runtime/name", "nodejs", "contexts/runtime/version", "20.v22")

	lambda.Start()
	lambda.Post(Batch(InitStart("invoke", "nodejs:20.v22"), InitDone("invoke", "error", "Runtime.HandlerNotFound")))
	lambda.Post(Batch(InitReport("invoke", "error", "Runtime.HandlerNotFound", 90), Start(r1), Done(r1, "error", "Runtime.HandlerNotFound", 95), Report(r1, "error", "Runtime.HandlerNotFound", 128, 60)))
	lambda.Shutdown("failure")
	one(t, sink)
}

func TestTheSecondProcessStaysSilentWhateverTypeItSees(t *testing.T) {
	lambda, sink := environment(t)
	lambda.Post(Batch(InitStart("init", "nodejs:20.v22"), Log(nodeImportError), InitDone("init", "error", "Runtime.ExitError")))
	lambda.Shutdown("failure")
	lambda.Start()
	lambda.Post(Batch(InitStart("invoke", "nodejs:20.v22"), InitDone("invoke", "error", "Runtime.Unknown"), Start(r1), Done(r1, "error", "Runtime.Unknown", 95)))
	lambda.Shutdown("failure")
	want(t, one(t, sink), lastType, "Runtime.ImportModuleError")
}

func TestTheRequestIsNamedWhenTheEventIsSentAfterIt(t *testing.T) {
	lambda, sink := environment(t)
	lambda.Post(Batch(InitStart("invoke", "nodejs:20.v22"), InitDone("invoke", "error", "Runtime.HandlerNotFound"), Start(r1), Done(r1, "error", "Runtime.HandlerNotFound", 95)))
	lambda.Shutdown("failure")
	want(t, one(t, sink), "contexts/aws.lambda/aws_request_id", r1, "tags/phase", "init", "contexts/trace/trace_id", "62e900b2710d76f009d6e7785905449a")
}

func TestImportErrorFromTheLogWithItsStack(t *testing.T) {
	lambda, sink := environment(t)
	lambda.Post(Batch(InitStart("init", "nodejs:20.v22"), Log(nodeImportError), InitDone("init", "error", "Runtime.ExitError")))
	lambda.Shutdown("failure")
	event := one(t, sink)
	frames := "exception/values/-1/stacktrace/frames/"
	want(t, event, lastType, "Runtime.ImportModuleError", lastValue, "Error: Cannot find module 'x'", "tags/lambda.platform_error_type", "Runtime.ExitError",
		frames+"0/abs_path", "/var/task/index.js", frames+"0/filename", "index.js", frames+"0/in_app", "true", frames+"0/lineno", "3", frames+"0/colno", "15",
		frames+"-1/abs_path", "/var/runtime/index.mjs", frames+"-1/in_app", "false", frames+"-1/function", "_loadUserApp")
}

func TestInvalidEntrypointWithOnlyAnInitReport(t *testing.T) {
	lambda, sink := environment(t)
	lambda.Post(Batch(InitStart("init", "provided:al2023.v1"), InitReport("init", "error", "Runtime.InvalidEntrypoint", 3)))
	lambda.Shutdown("failure")
	want(t, one(t, sink), lastType, "Runtime.InvalidEntrypoint", "tags/phase", "init", "platform", "other")
}

func TestInvalidEntrypointWithAnInitReportThatHasNoStatus(t *testing.T) {
	lambda, sink := environment(t)
	lambda.Post(Batch(InitStart("init", "provided:al2023.v1"), Event("platform.initReport", R{"initializationType": "on-demand", "phase": "init", "metrics": R{"durationMs": 3}}),
		Start(r1), Done(r1, "error", "Runtime.InvalidEntrypoint", 4)))
	lambda.Shutdown("failure")
	want(t, one(t, sink), lastType, "Runtime.InvalidEntrypoint", "tags/phase", "init", "contexts/aws.lambda/aws_request_id", r1)
}

func TestAnotherExtensionsCrashNamesIt(t *testing.T) {
	lambda, sink := environment(t)
	lambda.Post(Batch(InitStart("init", "nodejs:20.v22"), Event("platform.extension", R{"name": "other", "state": "ExitError", "events": []string{"INVOKE"}, "errorType": "Extension.Crash"}),
		InitReport("init", "error", "Extension.Crash", 20)))
	lambda.Shutdown("failure")
	event := one(t, sink)
	want(t, event, lastType, "Extension.Crash", "tags/lambda.extension", "other")
	if value, _ := at(event, lastValue).(string); !strings.Contains(value, `"other"`) {
		t.Errorf("value %q does not name the extension", value)
	}
}

func TestItsOwnFailureIsOnlyLogged(t *testing.T) {
	lambda, sink := environment(t)
	lambda.Post(Batch(InitStart("init", "nodejs:20.v22"), InitDone("init", "success", ""), Event("platform.extension", R{"name": "crash-reporter", "state": "ExitError", "errorType": "Extension.Crash"})))
	lambda.Shutdown("spindown")
	none(t, sink)
	if !strings.Contains(lambda.Output(), "Extension.Crash") {
		t.Errorf("output %q", lambda.Output())
	}
}

func TestRestoreTimeout(t *testing.T) {
	lambda, sink := environment(t, "AWS_LAMBDA_INITIALIZATION_TYPE=snap-start")
	lambda.Post(Batch(InitStart("init", "java:21.v5"), InitDone("init", "success", ""), Event("platform.restoreStart", R{"functionName": "my-fn", "functionVersion": "1", "instanceId": "x", "runtimeVersion": "java:21.v5"}),
		Event("platform.restoreReport", R{"status": "timeout", "metrics": R{"durationMs": 10015.1}})))
	lambda.Shutdown("timeout")
	want(t, one(t, sink), lastType, "Function.RestoreTimeout", lastValue, "The SnapStart restore timed out after 10.02 s", "tags/phase", "restore", "platform", "java")
}

func TestInitTimeoutIsNotReportedAsUnknown(t *testing.T) {
	lambda, sink := environment(t)
	lambda.Post(Batch(InitStart("init", "nodejs:20.v22"), InitDone("init", "error", "Runtime.Unknown"), InitReport("init", "timeout", "", 10000.4)))
	lambda.Shutdown("timeout")
	want(t, one(t, sink), lastType, "Function.InitTimeout", lastValue, "The initialization timed out after 10.00 s")
}

func TestCrashWithoutAnyPlatformEventButInitStart(t *testing.T) {
	lambda, sink := environment(t)
	lambda.Post(Batch(InitStart("init", "nodejs:20.v22"), Log(nodeImportError)))
	lambda.Shutdown("failure")
	want(t, one(t, sink), lastType, "Runtime.ImportModuleError", "tags/phase", "init", "contexts/aws.lambda/shutdown_reason", "failure")
}
