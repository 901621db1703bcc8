package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

func TestTwoHundredIdenticalCrashesAreOneEventAndACount(t *testing.T) {
	lambda, sink := environment(t)
	lambda.Post(healthy("nodejs:20.v22"))
	for i := 0; i < 200; i++ {
		lambda.Post(failsWith(fmt.Sprintf("%08x-49c9-448d-89b8-7ca3e6dc66aa", i), fmt.Sprintf("order %d not found", i)))
	}
	lambda.Shutdown("failure")
	event := one(t, sink)
	// What came while eight were waiting is counted in the event, the rest in the ledger.
	dropped, _ := at(event, "contexts/aws.lambda/reports_dropped").(float64)
	if counted := countedInLedger(t, lambda.StateDir); counted+int(dropped) != 199 {
		t.Errorf("%d counted and %v dropped, want 199 together", counted, dropped)
	}
}

func TestAThousandCrashesInALoop(t *testing.T) {
	const environments, crashes = 8, 125
	for n := 0; n < environments; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			lambda, sink := environment(t)
			for i := 1; ; i++ {
				lambda.Post(healthy("nodejs:20.v22"))
				lambda.Post(exits(fmt.Sprintf("%08x-49c9-448d-89b8-7ca3e6dc66aa", i)))
				lambda.Shutdown("failure") // it must end in time, and with exit code 0
				if i == crashes {
					break
				}
				lambda.Start()
			}
			events := sink.Events()
			counted := countedInLedger(t, lambda.StateDir)
			for _, event := range events {
				text, _ := at(event.Event, "tags/lambda.suppressed").(string)
				suppressed, _ := strconv.Atoi(text)
				counted += suppressed
			}
			if len(events) == 0 || len(events)+counted != crashes {
				t.Errorf("%d events and %d counted, want %d together", len(events), counted, crashes)
			}
			files, err := os.ReadDir(lambda.StateDir)
			if err != nil || len(files) != 1 {
				t.Errorf("%d files are left %v", len(files), err)
			}
		})
	}
}

// countedInLedger is how many crashes were held back and not told yet.
func countedInLedger(t *testing.T, dir string) (count int) {
	t.Helper()
	var ledger struct {
		Fingerprints map[string]struct{ Count int }
	}
	raw, err := os.ReadFile(filepath.Join(dir, "ledger.json"))
	if err != nil || json.Unmarshal(raw, &ledger) != nil || len(ledger.Fingerprints) != 1 {
		t.Fatalf("ledger %s %v", raw, err)
	}
	for _, crash := range ledger.Fingerprints {
		count += crash.Count
	}
	return count
}
