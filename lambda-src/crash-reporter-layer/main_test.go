package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "cdk-serverless-blocks/crash-reporter/internal/harness"
)

// binary is the extension as it ships, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "crash-reporter-test")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(dir)
	if binary = os.Getenv("CRASH_REPORTER_TEST_BINARY"); binary == "" { // the mutation check has one with all mutants in it
		binary = filepath.Join(dir, "crash-reporter")
		if err := buildFor("", binary); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	// The tests wait more than they work.
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		fmt.Println(err)
	}
	return m.Run()
}

func buildFor(arch, output string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", output, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if arch != "" {
		cmd.Env = append(cmd.Env, "GOARCH="+arch)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

const (
	r1 = "6d68ca91-49c9-448d-89b8-7ca3e6dc66aa"
	r2 = "7e79db02-5ad0-4590-9ac9-8db4f7ed77bb"
	r3 = "8f8aec13-6be1-46a1-8bda-9ec508fe88cc"
)

// environment is a started extension with its sink.
func environment(t *testing.T, env ...string) (*Lambda, *Sink) {
	t.Helper()
	t.Parallel()
	return environmentNow(t, env...)
}

// environmentNow is for a test that needs several.
func environmentNow(t *testing.T, env ...string) (*Lambda, *Sink) {
	t.Helper()
	sink := NewSink(t, false)
	lambda := NewLambda(t, binary, sink.DSN())
	setEnv(lambda, env...)
	return lambda.Start(), sink
}

func setEnv(lambda *Lambda, env ...string) {
	for _, entry := range env {
		name, value, _ := strings.Cut(entry, "=")
		lambda.Env[name] = value
	}
}

// one is the only event that the sink received; here, delivered twice is once too often.
func one(t *testing.T, sink *Sink) map[string]any {
	t.Helper()
	received := sink.Received()
	if len(received) != 1 {
		t.Fatalf("the sink has %d deliveries, want 1: %v", len(received), types(received))
	}
	keepEvent(t, received[0])
	return received[0].Event
}

func none(t *testing.T, sink *Sink) {
	t.Helper()
	if received := sink.Received(); len(received) != 0 {
		t.Fatalf("the sink has %d deliveries, want none: %v", len(received), types(received))
	}
}

func types(received []Envelope) (list []any) {
	for _, e := range received {
		list = append(list, Dig(e.Event, "exception", "values", -1, "type"), Dig(e.Event, "exception", "values", -1, "value"))
	}
	return list
}

// keepEvent saves an event for a check against Sentry's schema by hand.
func keepEvent(t *testing.T, e Envelope) {
	dir := os.Getenv("KEEP_EVENTS")
	if dir == "" {
		return
	}
	name := strings.ReplaceAll(t.Name(), "/", "_") + ".json"
	if err := os.WriteFile(filepath.Join(dir, name), e.Raw, 0o600); err != nil {
		t.Error(err)
	}
}

// want compares values of an event, given as path (dots between keys, "-1" for the last) and text.
func want(t *testing.T, event map[string]any, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		got := "<missing>"
		if value := at(event, pairs[i]); value != nil {
			got = fmt.Sprint(value)
		}
		if got != pairs[i+1] {
			t.Errorf("%s is %q, want %q", pairs[i], got, pairs[i+1])
		}
	}
}

func at(event map[string]any, path string) any {
	var steps []any
	for _, step := range strings.Split(path, "/") {
		var n int
		if _, err := fmt.Sscanf(step, "%d", &n); err == nil {
			steps = append(steps, n)
		} else {
			steps = append(steps, step)
		}
	}
	return Dig(event, steps...)
}

const (
	lastType  = "exception/values/-1/type"
	lastValue = "exception/values/-1/value"
)

func within(t *testing.T, what string, took, limit time.Duration) {
	t.Helper()
	if took > limit {
		t.Errorf("%s took %v, limit %v", what, took, limit)
	}
}
