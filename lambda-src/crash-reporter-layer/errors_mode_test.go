package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	. "cdk-serverless-blocks/crash-reporter/internal/harness"
)

// The gate's times are tested with a clock of their own, in internal/extension.

func TestDroppedTelemetryLetsTheEnvironmentGoAndTheErrorIsSentAtTheNextInvocation(t *testing.T) {
	lambda, sink := environment(t, "CRASH_REPORTER_MODE=errors")
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Invoke(r1, time.Minute)
	lambda.WaitTaken()
	for lambda.Nexts() < 2 { // it counts only while the extension waits, which nothing shows
		lambda.Post(Batch(Event("platform.logsDropped", R{"droppedRecords": 5, "droppedBytes": 100, "reason": "slow"})))
	}
	lambda.WaitOutput("Lambda did not report how an invocation ended")
	lambda.Post(throws(r1, "told late"))
	lambda.Invoke(r2, time.Minute)
	lambda.WaitNexts(3) // without waiting for anything
	lambda.Post(Batch(Start(r2), Done(r2, "success", "", 5)))
	sink.Wait(1)
	lambda.Shutdown("spindown")
	want(t, one(t, sink), "exception/values/-1/value", "told late")
}

func TestASentryThatHangsIsWaitedForOnceAndGetsTheErrorsLater(t *testing.T) {
	lambda, sink := environment(t, "CRASH_REPORTER_MODE=errors")
	hanging := make(chan struct{})
	sink.Answer = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if n == 1 {
			<-hanging
		}
		return false
	}
	lambda.Post(healthy("nodejs:20.v22"))
	for i := 0; i < 4; i++ {
		lambda.Invoke(requestID(i), time.Minute)
		lambda.WaitTaken()
		lambda.Post(throws(requestID(i), "kind "+strings.Repeat("x", i+1)))
		lambda.WaitNexts(i + 2) // a minute each, were it waited for
	}
	close(hanging)
	lambda.Shutdown("spindown")
	if n := len(sink.Events()); n != 4 {
		t.Errorf("%d events, log %q", n, lambda.Output())
	}
}
