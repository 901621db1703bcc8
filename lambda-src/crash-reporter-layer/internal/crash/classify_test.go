package crash

import (
	"testing"

	"cdk-serverless-blocks/crash-reporter/internal/stack"
)

func TestWhatAReportSaysInWords(t *testing.T) {
	for name, c := range map[string]struct {
		report  Report
		found   stack.Finding
		value   string
		seconds float64
	}{
		"a timeout":                     {Report{Status: "timeout", DurationMs: 3004, Phase: PhaseInvoke}, stack.Finding{}, "The function timed out after 3.00 s", 3},
		"a timeout of unknown duration": {Report{Status: "timeout", Phase: PhaseInvoke}, stack.Finding{}, "The function timed out", 0},
		"a timeout below a second":      {Report{Status: "timeout", DurationMs: 100, Phase: PhaseInvoke}, stack.Finding{}, "The function timed out after 0.10 s", 1},
		"a timeout of the start":        {Report{Status: "timeout", DurationMs: 9000, Phase: PhaseInit}, stack.Finding{}, "The initialization timed out after 9.00 s", 0},
		"out of memory":                 {Report{ErrorType: TypeOutOfMemory}, stack.Finding{}, "The runtime ran out of memory.", 0},
		"out of memory, with figures":   {Report{ErrorType: TypeOutOfMemory, MaxMemoryUsedMB: 127, MemorySizeMB: 128}, stack.Finding{}, "The runtime ran out of memory: 127 MB of 128 MB used", 0},
		"an exit":                       {Report{ErrorType: typeExit, Phase: PhaseInit}, stack.Finding{}, "The runtime process ended during initialization.", 0},
		"an exit with its reason":       {Report{ErrorType: typeExit}, stack.Finding{Exit: "exit status 2"}, "The runtime process ended: exit status 2", 0},
		"a type with a sentence":        {Report{ErrorType: "Runtime.NodeJsExit"}, stack.Finding{}, "The handler's promise was never settled and the event loop ran empty.", 0},
		"a type without one":            {Report{ErrorType: "Runtime.New", Phase: PhaseRestore}, stack.Finding{}, "Lambda reported Runtime.New during the SnapStart restore.", 0},
		"an extension":                  {Report{ErrorType: "Extension.Crash", Extension: "other"}, stack.Finding{}, `The extension "other" failed (no state): An extension exited.`, 0},
	} {
		classify(&c.report, c.found)
		if c.report.Value != c.value || c.report.TimeoutSeconds != c.seconds {
			t.Errorf("%s: %q, a limit of %v s", name, c.report.Value, c.report.TimeoutSeconds)
		}
	}
}

func TestAKilledProcessRanOutOfMemoryWhereItHadUsedNearlyAll(t *testing.T) {
	for _, c := range []struct {
		used, size float64
		exit       string
		want       bool
	}{
		{94, 100, "signal: killed", false}, {95, 100, "signal: killed", true}, {95, 100, "exit status 1", false},
		{100, 100, "exit status 1", true}, {0, 0, "signal: killed", false}, {95, 0, "exit status 1", false},
	} {
		r := Report{ErrorType: typeExit, MaxMemoryUsedMB: c.used, MemorySizeMB: c.size}
		if classify(&r, stack.Finding{Exit: c.exit}); r.MemoryExhausted != c.want {
			t.Errorf("%v of %v MB, %s: exhausted %v", c.used, c.size, c.exit, r.MemoryExhausted)
		}
	}
}

func TestAnIgnoreRuleMatchesWhatItNames(t *testing.T) {
	report := Report{Type: "TypeError", Value: "x is not a function"}
	for rule, want := range map[IgnoreRule]bool{
		{}:                                 false,
		{Type: "TypeError"}:                true,
		{Type: "Error"}:                    false,
		{Type: "*Error"}:                   true,
		{Message: "x is*"}:                 true,
		{Message: "*not a*"}:               true,
		{Message: "is not a"}:              false,
		{Type: "TypeError", Message: "y*"}: false,
	} {
		if got := rule.Matches(report); got != want {
			t.Errorf("%+v: %v", rule, got)
		}
	}
}
