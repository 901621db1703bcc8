package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	. "cdk-serverless-blocks/crash-reporter/internal/harness"
)

const pythonKeyError = "[ERROR] KeyError: 'a'\nTraceback (most recent call last):\n\u00a0\u00a0File \"/var/task/app.py\", line 3, in handler\n" +
	"\u00a0\u00a0\u00a0\u00a0return event['a']\n\u00a0\u00a0File \"/var/lang/lib/python3.13/site-packages/lib.py\", line 9, in get\n\u00a0\u00a0\u00a0\u00a0raise KeyError(k)"

// healthy is what comes before the invocations of a function that started well.
func healthy(runtime string) string {
	return Batch(InitStart("init", runtime), InitDone("init", "success", ""), InitReport("init", "success", "", 100))
}

func TestHandlerErrorInErrorsMode(t *testing.T) {
	lambda, sink := environment(t, "CRASH_REPORTER_MODE=errors")
	sink.Answer = func(int, http.ResponseWriter, *http.Request) bool {
		if n := lambda.Nexts(); n != 1 {
			t.Errorf("it asked for the next event (%d) before the error was sent", n)
		}
		return false
	}
	lambda.Post(healthy("python:3.13.v10"))
	lambda.Invoke(r1, 3*time.Second)
	lambda.WaitTaken()
	lambda.Post(Batch(Start(r1), Log(pythonKeyError), Done(r1, "success", "", 12)))
	lambda.WaitNexts(2)
	event := one(t, sink)
	frames := "exception/values/-1/stacktrace/frames/"
	want(t, event, lastType, "KeyError", lastValue, "'a'", "level", "error", "transaction", "my-fn", "exception/values/-1/mechanism/handled", "false", "platform", "python",
		frames+"0/filename", "app.py", frames+"0/in_app", "true", frames+"0/context_line", "return event['a']", frames+"-1/in_app", "false")
	lambda.Shutdown("spindown")
	one(t, sink)
}

func TestAnAggregateErrorIsAGroupOfErrors(t *testing.T) {
	lambda, sink := environment(t, "CRASH_REPORTER_MODE=errors")
	lambda.Post(healthy("nodejs:22.v40"))
	lambda.Post(Batch(Start(r1), Log("2026-11-21T02:30:00.000Z\t"+r1+"\tERROR\tInvoke Error \t"+
		`{"errorType":"AggregateError","errorMessage":"","errors":[{"name":"TypeError","message":"one"},"two"],"cause":{"errorType":"E","errorMessage":"why"},"stack":["AggregateError","    at f (/var/task/index.js:1:2)"]}`), Done(r1, "success", "", 5)))
	sink.Wait(1)
	lambda.Shutdown("spindown")
	mechanism := func(i int, field string) string { return fmt.Sprintf("exception/values/%d/mechanism/%s", i, field) }
	want(t, one(t, sink), "exception/values/0/type", "TypeError", mechanism(0, "exception_id"), "3", mechanism(0, "parent_id"), "0", mechanism(0, "source"), "errors[0]",
		mechanism(1, "source"), "errors[1]", mechanism(2, "source"), "cause", mechanism(2, "parent_id"), "0", mechanism(2, "exception_id"), "1",
		mechanism(3, "exception_id"), "0", mechanism(3, "is_exception_group"), "true", "exception/values/3/value", "2 errors: one, two")
}

func TestBundledCodeIsShownAsItsAuthorWroteIt(t *testing.T) {
	lambda, sink := environment(t, "CRASH_REPORTER_MODE=errors", "CRASH_REPORTER_TASK_ROOT=internal/source/testdata/beside")
	lambda.Post(healthy("nodejs:22.v40"))
	lambda.Post(strings.Replace(throws(r1, "boom"), "/var/task/index.js:1:2", "/var/task/index.js:1:505", 1))
	sink.Wait(1)
	lambda.Shutdown("spindown")
	frame := "exception/values/-1/stacktrace/frames/-1/"
	want(t, one(t, sink), frame+"filename", "src/order.ts", frame+"lineno", "9", frame+"context_line", "  return items.reduce((sum, item) => sum + item.price, 0) + label.length * 0;",
		"extra/generated/0", "f index.js:1:505")
}

// Lambda tries an asynchronous invocation again under the same id.
func TestARetryThatFailsTooIsAnotherCrash(t *testing.T) {
	lambda, sink := environment(t, "CRASH_REPORTER_MODE=errors", "CRASH_REPORTER_SAME_CRASH_WINDOW=0")
	lambda.Post(healthy("nodejs:20.v22"))
	for try := 1; try <= 3; try++ {
		lambda.Invoke(r1, time.Minute)
		lambda.WaitTaken()
		if lambda.Nexts() != try {
			t.Fatalf("try %d is not held until its end is heard", try)
		}
		lambda.Post(throws(r1, fmt.Sprintf("at try %s", strings.Repeat("x", try))))
		lambda.WaitNexts(try + 1)
		sink.Wait(try)
	}
	lambda.Post(Batch(Start(r1), Done(r1, "error", "Runtime.ExitError", 5), Report(r1, "error", "", 128, 60)))
	lambda.Shutdown("failure")
	if got := readBook(t, lambda).String(); got != "4 crashes, 4 sent, held back map[]" {
		t.Error(got)
	}
}

func TestHandlerErrorInCrashModeIsNotReported(t *testing.T) {
	lambda, sink := environment(t)
	lambda.Post(healthy("python:3.13.v10"))
	lambda.Post(Batch(Start(r1), Log(pythonKeyError), Done(r1, "success", "", 12), Report(r1, "success", "", 128, 60)))
	lambda.Shutdown("spindown")
	none(t, sink)
}

func TestHandlerErrorInCrashModeOnRequest(t *testing.T) {
	lambda, sink := environment(t, "CRASH_REPORTER_HANDLER_ERRORS=true")
	lambda.Post(healthy("python:3.13.v10"))
	lambda.Post(Batch(Start(r1), Log(pythonKeyError), Done(r1, "success", "", 12)))
	lambda.Shutdown("spindown")
	want(t, one(t, sink), lastType, "KeyError", "level", "error")
}

func TestAnErrorThatTheUserLoggedIsNone(t *testing.T) {
	lambda, sink := environment(t, "CRASH_REPORTER_MODE=errors")
	lambda.Post(healthy("python:3.13.v10"))
	lambda.Invoke(r1, 3*time.Second)
	lambda.Post(Batch(Start(r1), Log("[ERROR]\t2026-11-21T02:30:00.000Z\t"+r1+"\tbad thing\n"), Log("[ERROR] database: gone"), Done(r1, "success", "", 12)))
	lambda.WaitNexts(2)
	lambda.Shutdown("spindown")
	none(t, sink)
}

func TestTimeout(t *testing.T) {
	lambda, sink := environment(t)
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Post(Batch(Start(r1), Done(r1, "timeout", "", 5001.182)))
	lambda.Shutdown("timeout")
	want(t, one(t, sink), lastType, "Function.Timeout", lastValue, "The function timed out after 5.00 s", "contexts/aws.lambda/duration_ms", "5001.182",
		"contexts/aws.lambda/timeout_s", "5", "fingerprint", "[aws-lambda my-fn Function.Timeout]", "level", "fatal", "exception/values/-1/stacktrace", "<missing>")
}

func TestTimeoutWithoutRuntimeDone(t *testing.T) {
	lambda, sink := environment(t)
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Post(Batch(Start(r1)))
	lambda.Shutdown("timeout")
	event := one(t, sink)
	want(t, event, lastType, "Function.Timeout", "contexts/aws.lambda/aws_request_id", r1, "contexts/aws.lambda/shutdown_reason", "timeout", "fingerprint", "[aws-lambda my-fn Function.Timeout]")
	if ms, _ := at(event, "contexts/aws.lambda/duration_ms").(float64); ms <= 0 || ms > 10000 {
		t.Errorf("duration %v", ms)
	}
}

func TestOutOfMemory(t *testing.T) {
	for name, c := range map[string]struct {
		events []string
		want   []string
	}{
		"a platform says so": {[]string{Done(r1, "error", "Runtime.OutOfMemory", 800), Report(r1, "error", "Runtime.OutOfMemory", 128, 128)},
			[]string{lastType, "Runtime.OutOfMemory", "contexts/aws.lambda/memory_size_mb", "128", "contexts/aws.lambda/max_memory_used_mb", "128"}},
		"b log says so": {[]string{Log("FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n"), Done(r1, "error", "Runtime.ExitError", 800)},
			[]string{lastType, "Runtime.OutOfMemory", "tags/lambda.memory_exhausted", "true"}},
		"c timeout with full memory": {[]string{Report(r1, "timeout", "", 192, 192)},
			[]string{lastType, "Function.Timeout", "tags/lambda.memory_exhausted", "true"}},
		"d only the report shows it": {[]string{Done(r1, "error", "Runtime.ExitError", 800), Report(r1, "error", "Runtime.ExitError", 256, 256)},
			[]string{lastType, "Runtime.OutOfMemory", lastValue, "The runtime ran out of memory: 256 MB of 256 MB used"}},
		"e killed near the limit": {[]string{Log("RequestId: " + r1 + " Error: Runtime exited with error: signal: killed\nRuntime.ExitError\n"), Done(r1, "error", "Runtime.ExitError", 8), Report(r1, "error", "Runtime.ExitError", 256, 250)},
			[]string{lastType, "Runtime.OutOfMemory", "contexts/aws.lambda/exit", "signal: killed"}},
	} {
		t.Run(name, func(t *testing.T) {
			lambda, sink := environment(t)
			lambda.Post(healthy("nodejs:20.v22"))
			lambda.Post(Batch(append([]string{Start(r1)}, c.events...)...))
			lambda.Shutdown("failure")
			want(t, one(t, sink), c.want...)
		})
	}
}

func TestExitWithoutALog(t *testing.T) {
	lambda, sink := environment(t)
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Post(Batch(Start(r1), Done(r1, "error", "Runtime.ExitError", 12.3)))
	lambda.Shutdown("failure")
	want(t, one(t, sink), lastType, "Runtime.ExitError", lastValue, "The runtime process ended during the invocation.", "exception/values/-1/stacktrace", "<missing>", "level", "fatal")
}

func TestUnhandledRejectionInJSONFormat(t *testing.T) {
	lambda, sink := environment(t)
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Post(Batch(Start(r1), Log(R{"timestamp": "2026-11-21T02:30:00Z", "level": "ERROR", "requestId": r1, "message": R{
		"errorType": "Runtime.UnhandledPromiseRejection", "errorMessage": "Error: boom", "promise": R{},
		"reason":     R{"errorType": "Error", "errorMessage": "boom", "stackTrace": []string{"Error: boom", "    at f (/var/task/index.js:2:9)"}},
		"stackTrace": []string{"Runtime.UnhandledPromiseRejection: Error: boom", "    at process.<anonymous> (file:///var/runtime/index.mjs:1276:17)"}}}),
		Done(r1, "error", "Runtime.ExitError", 12)))
	lambda.Shutdown("failure")
	want(t, one(t, sink), lastType, "Runtime.UnhandledPromiseRejection", "exception/values/0/type", "Error", "exception/values/0/value", "boom",
		"exception/values/0/stacktrace/frames/0/filename", "index.js", "exception/values/2", "<missing>")
}

func TestGoPanicLineByLine(t *testing.T) {
	lambda, sink := environment(t)
	lambda.Post(healthy("provided:al2023.v1"))
	events := []string{Start(r1)}
	for _, line := range []string{"panic: boom", "", "goroutine 1 [running]:", "main.inner(...)", "\t/src/app/main.go:9", "main.handler({0x1, 0x2})", "\t/src/app/main.go:12 +0x1d",
		"github.com/aws/aws-lambda-go/lambda.Start(...)", "\t/root/go/pkg/mod/github.com/aws/aws-lambda-go@v1.47.0/lambda/entry.go:40", "main.main()", "\t/src/app/main.go:20 +0x18",
		"goroutine 7 [select]:", "net/http.x()", "exit status 2"} {
		events = append(events, Log(line+"\n"))
	}
	lambda.Post(Batch(append(events, Done(r1, "error", "Runtime.ExitError", 12))...))
	lambda.Shutdown("failure")
	frames := "exception/values/-1/stacktrace/frames/"
	want(t, one(t, sink), lastType, "panic", lastValue, "boom", "platform", "go", frames+"-1/function", "inner", frames+"-1/in_app", "true", frames+"0/function", "main",
		frames+"1/in_app", "false", frames+"1/module", "github.com/aws/aws-lambda-go/lambda", frames+"4", "<missing>")
}

func TestJavaCauses(t *testing.T) {
	lambda, sink := environment(t)
	lambda.Post(healthy("java:21.v5"))
	lambda.Post(Batch(Start(r1), Log("boom: java.lang.RuntimeException\njava.lang.RuntimeException: boom\n\tat com.example.Handler.handle(Handler.java:12)\n"+
		"\tat java.base/jdk.internal.reflect.Method.invoke(Unknown Source)\nCaused by: java.lang.IllegalStateException: inner\n\tat com.example.Db.get(Db.java:3)\n\t... 2 more\n"),
		Done(r1, "error", "Runtime.ExitError", 12)))
	lambda.Shutdown("failure")
	want(t, one(t, sink), "exception/values/0/type", "IllegalStateException", "exception/values/0/module", "java.lang", "exception/values/1/type", "RuntimeException",
		"exception/values/2", "<missing>", "exception/values/0/stacktrace/frames/-1/function", "get", "exception/values/0/stacktrace/frames/0/function", "invoke",
		"exception/values/0/stacktrace/frames/1/function", "handle", "tags/lambda.error_type", "java.lang.RuntimeException", "exception/values/1/stacktrace/frames/0/in_app", "false")
}

func TestManagedInstances(t *testing.T) {
	t.Parallel()
	sink := NewSink(t, false)
	lambda := NewLambda(t, binary, sink.DSN())
	lambda.Managed = true
	setEnv(lambda, "AWS_LAMBDA_INITIALIZATION_TYPE=lambda-managed-instances", "CRASH_REPORTER_MODE=errors")
	lambda.Start()
	body, _ := json.Marshal(lambda.Registrations()[0]["events"])
	if string(body) != `["SHUTDOWN"]` || len(lambda.Registrations()) != 1 {
		t.Errorf("registered for %s, %d times", body, len(lambda.Registrations()))
	}
	if schema := lambda.Subscriptions()[0]["schemaVersion"]; schema != "2025-01-29" {
		t.Errorf("schema %v", schema)
	}
	logOf := func(id, text string) string {
		return Log(R{"timestamp": "2026-11-21T02:30:00Z", "level": "ERROR", "requestId": id, "message": R{"errorType": "Error", "errorMessage": text, "stackTrace": []string{"Error: " + text, "    at f (/var/task/a.js:1:1)"}}})
	}
	lambda.Post(Batch(InitStart("init", "nodejs:24.v1"), InitDone("init", "success", ""), Start(r1), Start(r2), Start(r3),
		logOf(r2, "second"), Report(r2, "error", "Runtime.InvokeTimeout", 0, 0), Report(r1, "success", "", 0, 0), Report(r3, "success", "", 0, 0)))
	lambda.Shutdown("spindown")
	want(t, one(t, sink), "contexts/aws.lambda/aws_request_id", r2, lastValue, "second")
}

func TestManagedInstancesWithoutTheVariableFallBackToShutdownOnly(t *testing.T) {
	t.Parallel()
	sink := NewSink(t, false)
	lambda := NewLambda(t, binary, sink.DSN())
	lambda.Managed = true
	setEnv(lambda, "CRASH_REPORTER_MODE=errors")
	lambda.Start()
	if n := len(lambda.Registrations()); n != 2 {
		t.Errorf("%d registrations", n)
	}
	lambda.Shutdown("spindown")
}

func TestAnErrorsOwnPropertiesAreShownAndItsCodeIsATag(t *testing.T) {
	lambda, sink := environment(t)
	lambda.Post(healthy("nodejs:22.v1"))
	lambda.Post(Batch(Start(r1), Log("2026-11-21T02:30:00.000Z\t"+r1+"\tERROR\tUncaught Exception \t"+
		`{"errorType":"AggregateError","errorMessage":"","code":"ECONNREFUSED","port":5432,"password":"hunter2","$metadata":{"httpStatusCode":400,"requestId":"abc","extendedRequestId":"x"},"stack":["AggregateError [ECONNREFUSED]: ","    at internalConnectMultiple (node:net:1122:18)"]}`),
		Done(r1, "error", "Runtime.ExitError", 12)))
	lambda.Shutdown("failure")
	want(t, one(t, sink), lastType, "AggregateError", "exception/values/-1/value", "ECONNREFUSED", "tags/error.code", "ECONNREFUSED",
		"extra/error/port", "5432", "extra/error/password", "[redacted]", "extra/error/$metadata.httpStatusCode", "400", "extra/error/$metadata.requestId", "abc",
		"extra/error/extendedRequestId", "<missing>")
}

func TestOneCauseIsOneGroupHoweverItsSignalsCame(t *testing.T) {
	groups := map[string]bool{}
	for _, log := range []string{"", "2026-11-21T02:30:00.000Z\tundefined\tERROR\tUncaught Exception \t" + `{"errorType":"Runtime.HandlerNotFound","errorMessage":"index.handler is undefined or not exported","stack":["Runtime.HandlerNotFound: x","    at y (file:///var/runtime/index.mjs:1:2)"]}`} {
		for _, name := range []string{"orders-dev-A1", "orders-prod-B2"} {
			lambda, sink := environmentNow(t, "CRASH_REPORTER_GROUP=Api/Handler", "AWS_LAMBDA_FUNCTION_NAME="+name)
			lambda.Post(Batch(InitStart("init", "nodejs:22.v1")))
			if log != "" {
				lambda.Post(Batch(Log(log)))
			}
			lambda.Post(Batch(InitDone("init", "error", "Runtime.HandlerNotFound"), InitReport("init", "error", "Runtime.HandlerNotFound", 5)))
			lambda.Shutdown("failure")
			event := one(t, sink)
			want(t, event, "tags/lambda.function", name, "tags/lambda.construct", "Api/Handler")
			groups[fmt.Sprint(event["fingerprint"])] = true
		}
	}
	if len(groups) != 1 || !groups["[aws-lambda Api/Handler Runtime.HandlerNotFound]"] {
		t.Errorf("%v", groups)
	}
}
