package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "cdk-serverless-blocks/crash-reporter/internal/harness"
)

// captured is the telemetry of one execution environment, written down line by line.
type captured struct {
	name   string
	events []string
}

// TestCaptures replays telemetry from testdata/captures: of functions that crashed under AWS's own runtime
// clients
// (`RECORD=… npx projen test:runtimes`), and of real Lambda. want.txt has a line for each; UPDATE_CAPTURES=1
// writes it.
func TestCaptures(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "captures", "*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	var names []string
	told := map[string]*string{}
	t.Run("all", func(t *testing.T) {
		for _, file := range files {
			for _, c := range readCaptures(t, file) {
				name := strings.TrimSuffix(filepath.Base(file), ".jsonl") + ", " + c.name
				names, told[name] = append(names, name), new(string)
				t.Run(name, func(t *testing.T) { *told[name] = replay(t, c) })
			}
		}
	})
	var got strings.Builder
	for _, name := range names {
		fmt.Fprintf(&got, "%s -> %s\n", name, *told[name])
	}
	golden := filepath.Join("testdata", "captures", "want.txt")
	if os.Getenv("UPDATE_CAPTURES") != "" {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(string(want), "\n"); got.String() != string(want) {
		for i, line := range strings.Split(got.String(), "\n") {
			if i >= len(lines) || line != lines[i] {
				t.Errorf("got  %s", line)
				if i < len(lines) {
					t.Errorf("want %s", lines[i])
				}
			}
		}
	}
}

func readCaptures(t *testing.T, file string) (list []captured) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(raw)), "\n") {
		var head struct{ Capture string }
		if err := json.Unmarshal([]byte(line), &head); err != nil {
			t.Fatalf("%s: %v: %s", file, err, line)
		}
		if head.Capture != "" {
			list = append(list, captured{name: head.Capture})
		} else {
			last := &list[len(list)-1]
			last.events = append(last.events, line)
		}
	}
	return list
}

// replay posts the telemetry to the extension, with a new process for each start of the environment, and
// returns its events.
func replay(t *testing.T, c captured) string {
	lambda, sink := environment(t, "CRASH_REPORTER_HANDLER_ERRORS=true")
	reason := "spindown"
	started := false
	var batch []string
	end := func() {
		lambda.Post(Batch(batch...))
		lambda.Shutdown(reason)
		batch = nil
	}
	for _, line := range c.events {
		var event struct {
			Type   string
			Record json.RawMessage
		}
		var record struct{ Status string }
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatal(err)
		}
		_ = json.Unmarshal(event.Record, &record)
		switch {
		case event.Type == "platform.initStart" && started:
			end()
			lambda.Start()
		case record.Status == "timeout":
			reason = "timeout"
		case record.Status == "error" || record.Status == "failure":
			reason = "failure"
		}
		started = started || event.Type == "platform.initStart"
		batch = append(batch, line)
	}
	end()
	var events []string
	for _, envelope := range sink.Received() {
		events = append(events, summary(envelope.Event))
	}
	return strings.Join(events, " | ")
}

// summary is an event in one line: level, phase, then each exception with its frames, innermost first.
func summary(event map[string]any) string {
	out := fmt.Sprintf("%v %v:", event["level"], at(event, "tags/lambda.phase"))
	values, _ := at(event, "exception/values").([]any)
	for _, value := range values {
		first, _, _ := strings.Cut(fmt.Sprint(Dig(value, "value")), "\n")
		out += fmt.Sprintf(" %v=%s", Dig(value, "type"), first)
		frames, _ := Dig(value, "stacktrace", "frames").([]any)
		for i := len(frames) - 1; i >= max(0, len(frames)-3); i-- {
			mark := "-"
			if Dig(frames[i], "in_app") == true {
				mark = "+"
			}
			out += fmt.Sprintf(" [%v %v:%v%s]", Dig(frames[i], "function"), Dig(frames[i], "filename"), Dig(frames[i], "lineno"), mark)
		}
		out += ";"
	}
	return out
}
