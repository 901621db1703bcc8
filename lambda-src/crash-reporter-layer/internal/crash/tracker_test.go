package crash

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/telemetry"
)

var now = time.Unix(1_800_000_000, 0)

func feed(t *Tracker, at time.Time, events ...telemetry.Event) {
	for _, e := range events {
		t.Observe(e, at)
	}
}

func logLine(text string) telemetry.Event {
	raw, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return telemetry.Event{Type: "function", Log: raw}
}

func done(id, status, errorType string) telemetry.Event {
	return telemetry.Event{Type: "platform.runtimeDone", RequestID: id, Status: status, ErrorType: errorType}
}

func start(id string) telemetry.Event { return telemetry.Event{Type: "platform.start", RequestID: id} }

func kinds(reports []Report) (list []string) {
	for _, r := range reports {
		list = append(list, r.RequestID+" "+r.Type)
	}
	return list
}

func TestACrashIsDueFiftyMillisecondsAfterItsLastSignal(t *testing.T) {
	tr := New(Options{})
	feed(tr, now, start("r1"), done("r1", "error", "Runtime.ExitError"))
	if got := tr.Due(now.Add(49 * time.Millisecond)); len(got) != 0 {
		t.Fatalf("due early: %v", kinds(got))
	}
	feed(tr, now.Add(40*time.Millisecond), telemetry.Event{Type: "platform.report", RequestID: "r1", Status: "error", MemorySizeMB: 128, MaxMemoryUsedMB: 128})
	if got := tr.Due(now.Add(80 * time.Millisecond)); len(got) != 0 {
		t.Fatalf("due although a signal just came: %v", kinds(got))
	}
	if got := fmt.Sprint(kinds(tr.Due(now.Add(90 * time.Millisecond)))); got != "[r1 Runtime.OutOfMemory]" {
		t.Errorf("due: %s", got)
	}
	if got := tr.Shutdown("failure", now.Add(time.Second)); len(got) != 0 {
		t.Errorf("reported again at shutdown: %v", kinds(got))
	}
}

func TestSignalsWithoutEndDoNotHoldACrashBack(t *testing.T) {
	tr := New(Options{})
	feed(tr, now, start("r1"))
	for ms := 0; ms < 600; ms += 20 {
		feed(tr, now.Add(time.Duration(ms)*time.Millisecond), done("r1", "error", "Runtime.ExitError"))
		if len(tr.Due(now.Add(time.Duration(ms)*time.Millisecond))) == 1 {
			return
		}
	}
	t.Error("never due")
}

func TestPrecedenceOfTypes(t *testing.T) {
	const trace = "2026-01-01T00:00:00Z\tr\tERROR\tUncaught Exception \t{\"errorType\":\"TypeError\",\"errorMessage\":\"m\",\"stack\":[]}"
	const printed = "RangeError: printed\n    at f (/var/task/a.js:1:2)"
	for name, c := range map[string]struct {
		logs            []string
		status, errType string
		want            string
	}{
		"the runtime's log before a specific type": {[]string{trace}, "error", "Runtime.ImportModuleError", "TypeError"},
		"a specific type before what code logged":  {[]string{printed}, "error", "Runtime.ImportModuleError", "Runtime.ImportModuleError"},
		"what code logged before the bare exit":    {[]string{printed}, "error", "Runtime.ExitError", "RangeError"},
		"what code logged before unknown":          {[]string{printed}, "error", "Runtime.Unknown", "RangeError"},
		"the runtime's log before code's":          {[]string{trace, printed}, "error", "Runtime.ExitError", "TypeError"},
		"a timeout before everything":              {[]string{trace, printed}, "timeout", "", TypeTimeout},
		"out of memory before the bare exit":       {[]string{"FATAL ERROR: JavaScript heap out of memory"}, "error", "Runtime.ExitError", TypeOutOfMemory},
		"the bare exit before unknown":             {nil, "error", "Runtime.ExitError", "Runtime.ExitError"},
		"unknown":                                  {nil, "failure", "", "Runtime.Unknown"},
	} {
		tr := New(Options{})
		feed(tr, now, start("r1"))
		for _, text := range c.logs {
			feed(tr, now, logLine(text))
		}
		feed(tr, now, done("r1", c.status, c.errType))
		if got := fmt.Sprint(kinds(tr.Due(now.Add(time.Second)))); got != "[r1 "+c.want+"]" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestAnErrorOfAnEarlierRequestIsNotBlamed(t *testing.T) {
	tr := New(Options{})
	feed(tr, now, start("r1"), logLine("RangeError: printed\n    at f (/var/task/a.js:1:2)"), done("r1", "success", ""), start("r2"), done("r2", "error", "Runtime.ExitError"))
	if got := fmt.Sprint(kinds(tr.Due(now.Add(time.Second)))); got != "[r2 Runtime.ExitError]" {
		t.Errorf("%s", got)
	}
}

func TestAHealthyEnvironmentReportsNothing(t *testing.T) {
	for _, reason := range []string{"spindown", "SPINDOWN", "failure", "timeout", ""} {
		tr := New(Options{HandlerErrors: true})
		feed(tr, now, telemetry.Event{Type: "platform.initStart"}, telemetry.Event{Type: "platform.initRuntimeDone", Status: "success"}, start("r1"), logLine("all is well"), done("r1", "success", ""))
		if got := tr.Shutdown(reason, now); len(got) != 0 {
			t.Errorf("%q: %v", reason, kinds(got))
		}
	}
}

func TestMemoryOfTheTrackerIsBounded(t *testing.T) {
	tr := New(Options{Breadcrumbs: true})
	for i := 0; i < 5000; i++ {
		id := fmt.Sprint("r", i)
		feed(tr, now, start(id), logLine("[ERROR] KeyError: x"), logLine("a line"))
		if i%3 == 0 {
			feed(tr, now, done(id, "error", "Runtime.ExitError"))
		}
	}
	if len(tr.requests) > maxRequests || len(tr.pending) > maxReports || len(tr.logs.findings) > maxRequests+3 || len(tr.logs.crumbs) > maxCrumbs {
		t.Errorf("%d requests, %d pending, %d findings, %d crumbs", len(tr.requests), len(tr.pending), len(tr.logs.findings), len(tr.logs.crumbs))
	}
	reports := tr.Due(now.Add(time.Second))
	if len(reports) != maxReports || reports[0].ReportsDropped == 0 {
		t.Errorf("%d reports, dropped %d", len(reports), reports[0].ReportsDropped)
	}
}

func TestACrashBetweenInvocationsHasItsLog(t *testing.T) {
	tr := New(Options{})
	feed(tr, now, telemetry.Event{Type: "platform.initRuntimeDone", Status: "success"}, start("r1"), done("r1", "success", ""),
		logLine("2026-01-01T00:00:00Z\tundefined\tERROR\tUncaught Exception \t{\"errorType\":\"TypeError\",\"errorMessage\":\"m\",\"stack\":[]}"))
	if got := fmt.Sprint(kinds(tr.Shutdown("failure", now))); got != "[ TypeError]" {
		t.Errorf("%s", got)
	}
}

func TestAFailedExtensionIsBlamedOnce(t *testing.T) {
	tr := New(Options{})
	feed(tr, now, start("r1"), telemetry.Event{Type: "platform.extension", Name: "other", State: "ExitError", ErrorType: "Extension.Crash"}, done("r1", "error", "Extension.Crash"),
		start("r2"), done("r2", "error", "Runtime.ExitError"))
	got := tr.Due(now.Add(time.Second))
	if fmt.Sprint(kinds(got)) != "[r1 Extension.Crash r2 Runtime.ExitError]" || got[0].Extension != "other" || got[1].Extension != "" {
		t.Errorf("%v %+v", kinds(got), got)
	}
}

func TestAnErrorThatIsLoggedAfterTheEndOfItsRequestIsStillReported(t *testing.T) {
	const id = "6d68ca91-49c9-448d-89b8-7ca3e6dc66aa"
	late := logLine("2026-01-01T00:00:00Z\t" + id + "\tERROR\tInvoke Error \t{\"errorType\":\"TypeError\",\"errorMessage\":\"m\",\"stack\":[]}")
	for errors, want := range map[bool]string{true: "[" + id + " TypeError]", false: "[]"} {
		tr := New(Options{HandlerErrors: errors})
		feed(tr, now, telemetry.Event{Type: "platform.initRuntimeDone", Status: "success"}, start(id), done(id, "success", ""), late, late)
		reports := tr.Due(now)
		if fmt.Sprint(kinds(reports)) != want {
			t.Errorf("handler errors %v: %v, want %s", errors, kinds(reports), want)
		}
		if len(reports) == 1 && !reports[0].Exception {
			t.Error("it is reported as a crash")
		}
	}
}

func TestALogOfTheInitializationIsTheCauseWhereOnlyTheInvocationTellsTheFailure(t *testing.T) {
	tr := New(Options{})
	feed(tr, now, telemetry.Event{Type: "platform.initStart", Phase: PhaseInit}, logLine("2026-01-01T00:00:00Z\tundefined\tERROR\tUncaught Exception \t{\"errorType\":\"TypeError\",\"errorMessage\":\"m\",\"stack\":[]}"),
		telemetry.Event{Type: "platform.initReport", Phase: PhaseInit}, start("r1"), done("r1", "error", "Runtime.ExitError"))
	if got := fmt.Sprint(kinds(tr.Due(now.Add(time.Second)))); got != "[r1 TypeError]" {
		t.Errorf("%s", got)
	}
}

func TestARestoreThatFailedIsReportedOnceHoweverLateItsSecondSignalComes(t *testing.T) {
	tr := New(Options{})
	failed := func(kind string) telemetry.Event {
		return telemetry.Event{Type: "platform." + kind, Status: "error", ErrorType: "Runtime.AfterRestoreError"}
	}
	feed(tr, now, telemetry.Event{Type: "platform.restoreStart"}, failed("restoreRuntimeDone"))
	first := kinds(tr.Due(now.Add(time.Second)))
	feed(tr, now.Add(2*time.Second), failed("restoreReport"))
	if got := append(first, kinds(tr.Shutdown("failure", now.Add(3*time.Second)))...); fmt.Sprint(got) != "[ Runtime.AfterRestoreError]" {
		t.Errorf("%v", got)
	}
}

func TestToldMeansThatNothingElseCanCome(t *testing.T) {
	tr := New(Options{})
	check := func(when string, want bool) {
		t.Helper()
		if tr.Told() != want {
			t.Errorf("%s: %v", when, !want)
		}
	}
	feed(tr, now, start("r1"))
	check("while it runs", false)
	feed(tr, now, done("r1", "error", "Runtime.ExitError"))
	check("while signals come", false)
	tr.Due(now.Add(time.Second))
	check("when it is reported", true)
	feed(tr, now, start("r2"))
	check("while the next one runs", false)
	feed(tr, now, done("r2", "success", ""))
	check("at the end", true)
}

// A stack trace comes as one record where there is a framed log channel, else line by line.
func TestAStackTraceIsTheSameFramedAndLineByLine(t *testing.T) {
	for language, text := range map[string]string{
		"node":                     "/var/task/x.js:1\nthrow new Error('x')\n^\n\nError: bad\n    at f (/var/task/x.js:1:7)\n    at g (/var/runtime/y.js:2:3)\n\nNode.js v20.11.0",
		"node with a cause":        "Error: outer\n    at f (/var/task/x.js:1:7) {\n  [cause]: RangeError: inner\n      at g (/var/task/y.js:2:3)\n}",
		"python":                   "Traceback (most recent call last):\n  File \"/var/task/a.py\", line 1, in f\n    x\nKeyError: 'k'",
		"python chained":           "Traceback (most recent call last):\n  File \"/var/task/a.py\", line 1, in f\n    x\nKeyError: 'k'\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"/var/task/b.py\", line 2, in g\nmy.AppError: two",
		"python of the runtime":    "[ERROR] KeyError: 'a'\nTraceback (most recent call last):\n\u00a0\u00a0File \"/var/task/app.py\", line 3, in handler\n\u00a0\u00a0\u00a0\u00a0x['a']",
		"java":                     "Exception in thread \"main\" java.lang.RuntimeException: boom\n\tat com.x.H.h(H.java:12)\nCaused by: java.sql.SQLException: inner\n\tat com.x.D.d(D.java:3)\n\t... 1 more",
		"ruby":                     "/var/task/a.rb:1:in `h': bad thing (ArgumentError)\n\tfrom /var/task/b.rb:2:in `<main>'",
		"ruby with a cause":        "/var/task/a.rb:4:in 'rescue in h': outer (RuntimeError)\n\tfrom /var/task/a.rb:1:in 'h'\n/var/task/a.rb:2:in 'h': inner (ArgumentError)\n\tfrom /var/task/b.rb:2:in '<main>'",
		"ruby of the runtime":      "Critical exception from handler\n{\n  \"errorMessage\": \"undefined method\",\n  \"errorType\": \"Function<NoMethodError>\",\n  \"stackTrace\": [\n    \"/var/task/a.rb:3:in 'h'\"\n  ]\n}",
		"dotnet":                   "Unhandled exception. System.Exception: outer\n ---> System.ArgumentException: inner\n   at Ns.A.M() in /var/task/f.cs:line 3\n   --- End of inner exception stack trace ---\n   at Program.Main(String[] args) in /src/P.cs:line 7",
		"go":                       "panic: boom\n\ngoroutine 1 [running]:\nmain.f(0x1)\n\t/x/main.go:12 +0x1d\nmain.main()\n\t/x/main.go:3 +0x1\nexit status 2",
		"rust":                     "thread 'main' (18087) panicked at src/main.rs:12:9:\nindex out of bounds: the len is 1\nstack backtrace:\n   0: rust_begin_unwind\n             at /rustc/abc/library/std/src/panicking.rs:665:5\n   1: core::panicking::panic_fmt\n             at /rustc/abc/library/core/src/panicking.rs:74:14\n   2: orders::total\n             at ./src/main.rs:12:9\n   3: orders::main\n             at ./src/main.rs:4:5\nnote: Some details are omitted",
		"rust without a backtrace": "thread 'main' panicked at src/main.rs:12:9:\nboom\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
		"rust before 1.73":         "thread 'main' panicked at 'boom', src/main.rs:12:9\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
		"php":                      "PHP Fatal error:  Uncaught RuntimeException: boom in /var/task/index.php:3\nStack trace:\n#0 /var/task/index.php(7): total()\n#1 {main}\n  thrown in /var/task/index.php on line 3",
		"php without exception":    "PHP Fatal error:  Allowed memory size of 1 bytes exhausted in /var/task/index.php on line 3",
		"dotnet, a native image":   "Unhandled exception. System.InvalidOperationException: boom\n   at Orders.Function.Total() + 0x1c\n   at Orders.Function.Main() + 0x9",
		"go, a fatal error":        "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\nmain.main()\n\t/x/main.go:3 +0x1\nexit status 2",
	} {
		told := func(records []string) string {
			tr := New(Options{})
			feed(tr, now, telemetry.Event{Type: "platform.initRuntimeDone", Status: "success"}, start("r1"))
			for _, record := range records {
				feed(tr, now, logLine(record+"\n"))
			}
			feed(tr, now, done("r1", "error", "Runtime.ExitError"))
			reports := tr.Due(now.Add(time.Second))
			return fmt.Sprintf("%s %+v", reports[0].Language, reports[0].Exceptions)
		}
		framed, lines := told([]string{text}), told(strings.Split(text, "\n"))
		if framed != lines {
			t.Errorf("%s\nframed       %s\nline by line %s", language, framed, lines)
		}
		if !strings.Contains(framed, "Path:") || strings.Contains(framed, " Frames:[]") || strings.Contains(framed, "ExitError") {
			t.Errorf("%s has no stack: %s", language, framed)
		}
	}
}

func TestWhatDifferentLanguagesSay(t *testing.T) {
	for text, want := range map[string]string{
		"thread 'main' (1) panicked at src/main.rs:12:9:\nboom\nstack backtrace:\n   0: core::panicking::panic_fmt\n             at /rustc/a/b.rs:1:2\n   1: orders::total\n             at ./src/main.rs:12:9": "rust panic: boom; orders::total src/main.rs:12",
		"thread 'main' panicked at 'boom', src/main.rs:12:9": "rust panic: boom;  src/main.rs:12",
		"PHP Fatal error:  Uncaught RuntimeException: boom in /var/task/index.php:3\nStack trace:\n#0 /var/task/index.php(7): total(1)\n#1 {main}\n  thrown in /var/task/index.php on line 3": "php RuntimeException: boom;  /var/task/index.php:7; total /var/task/index.php:3",
		"PHP Fatal error:  Allowed memory size exhausted in /var/task/index.php on line 3":                                                                                                    "php Fatal error: Allowed memory size exhausted;  /var/task/index.php:3",
		"Unhandled exception. System.InvalidOperationException: boom\n   at Orders.Function.Total() + 0x1c":                                                                                   "csharp System.InvalidOperationException: boom; Total :0",
	} {
		tr := New(Options{})
		feed(tr, now, start("r1"), logLine(text), done("r1", "error", "Runtime.ExitError"))
		r := tr.Due(now.Add(time.Second))[0]
		got := r.Language + " " + r.Type + ": " + r.Value
		for _, f := range r.Exceptions[0].Frames {
			got += fmt.Sprintf("; %s %s:%d", f.Function, f.Path, f.Line)
		}
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

const printedGroup = `2026-01-01T00:00:00.000Z	r1	ERROR	AggregateError
    at connect (/var/task/index.js:4:9)
    at handler (/var/task/index.js:2:3) {
  code: 'ECONNREFUSED',
  [errors]: [
    Error: connect ECONNREFUSED ::1:1
        at first (/var/task/net.js:4:29),
    TypeError: second
        at second (/var/task/net.js:5:29) {
      code: 'E2',
      [cause]: Error: within
          at within (/var/task/net.js:9:9)
    },
    Error: third
        at third (/var/task/net.js:6:29)
  ],
  [cause]: Error: why
      at why (/var/task/why.js:1:2)
}
`

// What it is made of is in the log only where the code printed it: the runtime's own line has neither message
// nor members.
func TestAnAggregateErrorShowsItsMembers(t *testing.T) {
	members := "Error: connect ECONNREFUSED ::1:1 (net.js:4); TypeError: second (net.js:5); Error: third (net.js:6)"
	thrown := func(more string) string {
		return "2026-01-01T00:00:00.000Z\tr1\tERROR\tInvoke Error \t{\"errorType\":\"AggregateError\",\"errorMessage\":\"\"" + more + ",\"stack\":[\"AggregateError\",\"    at connect (/var/task/index.js:4:9)\"]}"
	}
	for name, c := range map[string]struct {
		lines  []string
		status string
		want   string
	}{
		"printed":             {[]string{printedGroup}, "error", members + "; Error: why (why.js:1); AggregateError: 3 errors: connect ECONNREFUSED ::1:1, second, third (index.js:4)"},
		"printed and thrown":  {[]string{printedGroup, thrown(`,"code":"ECONNREFUSED"`)}, "success", members + "; Error: why (why.js:1); AggregateError: ECONNREFUSED (index.js:4)"},
		"thrown":              {[]string{thrown(`,"code":"ECONNREFUSED"`)}, "success", "AggregateError: ECONNREFUSED (index.js:4)"},
		"thrown by a library": {[]string{thrown(`,"errors":["one",{"name":"TypeError","message":"two"},{"errorType":"E","errorMessage":"three","stack":["E: three","    at f (/var/task/e.js:7:1)"]},{}]`)}, "success", "Error: one; TypeError: two; E: three (e.js:7); AggregateError: 4 errors: one, two, three (index.js:4)"},
		"a cause":             {[]string{"2026-01-01T00:00:00.000Z\tr1\tERROR\tError: b\n    at f (/var/task/index.js:4:9) {\n  [cause]: TypeError: a\n      at g (/var/task/index.js:5:9)\n}\n", "2026-01-01T00:00:00.000Z\tr1\tERROR\tInvoke Error \t{\"errorType\":\"Error\",\"errorMessage\":\"b\",\"stack\":[\"Error: b\",\"    at f (/var/task/index.js:4:9)\"]}"}, "success", "TypeError: a (index.js:5); Error: b (index.js:4)"},
		"another one printed": {[]string{printedGroup, "2026-01-01T00:00:00.000Z\tr1\tERROR\tInvoke Error \t{\"errorType\":\"Error\",\"errorMessage\":\"b\",\"stack\":[\"Error: b\"]}"}, "success", "Error: b"},
	} {
		tr := New(Options{HandlerErrors: true})
		feed(tr, now, start("r1"))
		for _, line := range c.lines {
			feed(tr, now, logLine(line))
		}
		feed(tr, now, done("r1", c.status, ""))
		r := tr.Due(now.Add(time.Second))[0]
		var told []string
		for i, e := range r.Exceptions {
			if i == len(r.Exceptions)-1 {
				e.Value = r.Value
			}
			text := e.Type + ": " + e.Value
			if n := len(e.Frames); n > 0 {
				text += fmt.Sprintf(" (%s:%d)", strings.TrimPrefix(e.Frames[n-1].Path, "/var/task/"), e.Frames[n-1].Line)
			}
			told = append(told, text)
		}
		if got := strings.Join(told, "; "); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, c.want)
		}
	}
}

func TestACustomRuntimeThatExitsHasItsLastLines(t *testing.T) {
	for runtime, want := range map[string]int{"provided:al2023.v1": 1, "nodejs:22.v1": 0} {
		tr := New(Options{})
		feed(tr, now, telemetry.Event{Type: "platform.initStart", Runtime: runtime}, telemetry.Event{Type: "platform.initRuntimeDone", Status: "success"}, start("r1"), logLine("about to end"), done("r1", "error", "Runtime.ExitError"))
		if r := tr.Due(now.Add(time.Second))[0]; len(r.Crumbs) != want {
			t.Errorf("%s: %v", runtime, r.Crumbs)
		}
	}
}
