package main

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	. "cdk-serverless-blocks/crash-reporter/internal/harness"
)

func TestTelemetryNotSupportedMeansIdle(t *testing.T) {
	t.Parallel()
	lambda := NewLambda(t, binary, NewSink(t, false).DSN())
	lambda.SubscribeStatus = func(string) int { return 202 }
	lambda.Start()
	within(t, "SHUTDOWN to exit", lambda.Shutdown("spindown"), time.Second)
	if lambda.Output() != "" {
		t.Errorf("output %q", lambda.Output())
	}
}

func TestSubscriptionFallsBackToAnOlderSchema(t *testing.T) {
	t.Parallel()
	lambda := NewLambda(t, binary, NewSink(t, false).DSN())
	lambda.SubscribeStatus = func(schema string) int {
		if schema == "2025-01-29" {
			return 400
		}
		return 0
	}
	lambda.Start()
	if n := len(lambda.Subscriptions()); n != 2 || lambda.Subscriptions()[1]["schemaVersion"] != "2022-12-13" {
		t.Errorf("subscriptions %v", lambda.Subscriptions())
	}
	lambda.Shutdown("spindown")
}

func TestARefusedSubscriptionMeansIdle(t *testing.T) {
	t.Parallel()
	lambda := NewLambda(t, binary, NewSink(t, false).DSN())
	lambda.SubscribeStatus = func(string) int { return 500 }
	lambda.Start()
	lambda.Shutdown("spindown")
	if strings.Count(lambda.Output(), "\n") != 1 || !strings.Contains(lambda.Output(), "idle") {
		t.Errorf("output %q", lambda.Output())
	}
}

func TestRegistrationIsRetriedOn500AndGivenUpOn403(t *testing.T) {
	t.Parallel()
	lambda := NewLambda(t, binary, NewSink(t, false).DSN())
	lambda.RegisterStatus = func(n int) int {
		if n < 3 {
			return 500
		}
		return 0
	}
	lambda.Start()
	lambda.Shutdown("spindown")
	lambda.RegisterStatus = func(int) int { return 403 }
	lambda.Launch()
	if code := lambda.WaitExit(); code != 1 {
		t.Errorf("exit code %d", code)
	}
}

func TestPortIsFree(t *testing.T) {
	a, _ := environment(t)
	b := NewLambda(t, binary, "http://k@127.0.0.1:1/1").Start()
	port := regexp.MustCompile(`:(\d+)/`)
	portA, portB := port.FindString(a.TelemetryURL()), port.FindString(b.TelemetryURL())
	if portA == portB || portA == ":0/" || portA == "" {
		t.Errorf("ports %s and %s", portA, portB)
	}
	a.Shutdown("spindown")
	b.Shutdown("spindown")
}

func TestAnyPathOfTheListenerWorks(t *testing.T) {
	lambda, sink := environment(t)
	lambda.Post(healthy("nodejs:20.v22"))
	resp, err := http.Post(strings.Replace(lambda.TelemetryURL(), "/telemetry", "/", 1), "application/json", strings.NewReader(exits(r1)))
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(err, resp)
	}
	resp.Body.Close()
	lambda.Shutdown("failure")
	want(t, one(t, sink), lastType, "Runtime.ExitError")
}

func TestErrorsModeNeverOutwaitsTheDeadline(t *testing.T) {
	lambda, sink := environment(t, "CRASH_REPORTER_MODE=errors")
	lambda.Post(healthy("nodejs:20.v22"))
	start := time.Now()
	lambda.Invoke(r1, 700*time.Millisecond)
	lambda.WaitNexts(2) // runtimeDone never comes
	within(t, "waiting", time.Since(start), 650*time.Millisecond)
	lambda.Shutdown("spindown")
	none(t, sink)
}

func TestShutdownWithNothingPendingIsImmediate(t *testing.T) {
	lambda, sink := environment(t)
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Post(Batch(Start(r1), Done(r1, "success", "", 3), Report(r1, "success", "", 128, 64)))
	within(t, "SHUTDOWN to exit", lambda.Shutdown("spindown"), 250*time.Millisecond)
	none(t, sink)
}

// What Lambda holds back before it delivers: least delay that it offers, and as much as it takes.
func TestTheSubscriptionSaysWhatIsHeldBack(t *testing.T) {
	lambda, _ := environment(t)
	lambda.Shutdown("spindown")
	list := lambda.Subscriptions()
	if len(list) == 0 || Dig(list[0], "buffering", "maxItems") != 1000.0 || Dig(list[0], "buffering", "maxBytes") != 262144.0 || Dig(list[0], "buffering", "timeoutMs") != 25.0 {
		t.Errorf("%v", list)
	}
}
