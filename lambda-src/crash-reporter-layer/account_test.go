package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	. "cdk-serverless-blocks/crash-reporter/internal/harness"
)

// book is the account in the ledger: every crash is in exactly one column.
type book struct {
	Crashes, Sent int
	HeldBack      map[string]int
}

func readBook(t *testing.T, lambda *Lambda) book {
	t.Helper()
	var ledger struct{ Account book }
	raw, err := os.ReadFile(filepath.Join(lambda.StateDir, "ledger.json"))
	if err != nil || json.Unmarshal(raw, &ledger) != nil {
		t.Fatalf("ledger %s %v", raw, err)
	}
	return ledger.Account
}

func (b book) String() string {
	return fmt.Sprintf("%d crashes, %d sent, held back %v", b.Crashes, b.Sent, b.HeldBack)
}

func requestID(n int) string { return fmt.Sprintf("%08x-49c9-448d-89b8-7ca3e6dc66aa", n) }

func TestFortyDifferentErrorsInAMomentAreAllCounted(t *testing.T) {
	lambda, sink := environment(t, "CRASH_REPORTER_MODE=errors")
	lambda.Post(healthy("nodejs:20.v22"))
	for i := 0; i < 40; i++ {
		lambda.Post(throws(requestID(i), "kind "+strings.Repeat("x", i+1)))
	}
	sink.Wait(10)
	lambda.Shutdown("spindown")
	// Ten at once, and of what was held back the last one of four kinds at the end.
	if n := len(sink.Events()); n != 14 {
		t.Errorf("%d events", n)
	}
	if got := readBook(t, lambda).String(); got != "40 crashes, 14 sent, held back map[limited:26]" {
		t.Error(got)
	}
	if got := fmt.Sprint(sink.Reported()); got != "map[queue_overflow:26]" {
		t.Errorf("client reports: %s", got)
	}
	if want := "crash-reporter: 40 crashes, 14 sent, 26 over the limit of 10 a minute\n"; lambda.Output() != want {
		t.Errorf("log: %q", lambda.Output())
	}
}

func TestThreeHundredEqualErrorsAreTwoEventsOfWhichTheSecondTellsTheNumber(t *testing.T) {
	for _, reason := range []string{"spindown", "failure"} {
		t.Run(reason, func(t *testing.T) {
			lambda, sink := environment(t, "CRASH_REPORTER_MODE=errors")
			lambda.Post(healthy("nodejs:20.v22"))
			for i := 0; i < 300; i++ {
				lambda.Post(throws(requestID(i), fmt.Sprintf("order %d not found", i)))
			}
			lambda.Shutdown(reason)
			events := sink.Events()
			if len(events) != 2 {
				t.Fatalf("%d events", len(events))
			}
			want(t, events[1].Event, "tags/lambda.suppressed", "298", "exception/values/-1/value", "order 299 not found")
			if got := readBook(t, lambda).String(); got != "300 crashes, 2 sent, held back map[duplicate:298]" {
				t.Error(got)
			}
			if got := fmt.Sprint(sink.Reported()); got != "map[event_processor:298]" {
				t.Errorf("client reports: %s", got)
			}
		})
	}
}

func TestAnEventThatSentryThrowsAwayIsCountedAndNamedInTheLog(t *testing.T) {
	lambda, sink := environment(t, "CRASH_REPORTER_MODE=errors")
	sink.Answer = func(n int, w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(429)
		return true
	}
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Post(throws(r1, "first kind"))
	sink.Wait(1)
	lambda.Post(throws(r2, "another kind"))
	lambda.Post(throws(r3, "a third kind"))
	lambda.Shutdown("failure")
	one(t, sink)
	if got := readBook(t, lambda).String(); got != "3 crashes, 0 sent, held back map[silenced:2 throttled:1]" {
		t.Error(got)
	}
	want := "crash-reporter: Sentry wants no events for 120 s: crashes are counted until then\n" +
		"crash-reporter: 3 crashes, 0 sent, 2 while Sentry wants silence, 1 refused for Sentry's rate limit\n"
	if lambda.Output() != want {
		t.Errorf("log: %q", lambda.Output())
	}
}

func TestARotatedDSNIsReadAnewAndNothingIsLost(t *testing.T) {
	t.Parallel()
	sink := NewSink(t, false)
	sink.Answer = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.Header.Get("X-Sentry-Auth"), "sentry_key=old") {
			w.WriteHeader(403)
			return true
		}
		return false
	}
	newDSN := strings.Replace(sink.DSN(), "publickey", "newpublickey", 1)
	oldDSN := strings.Replace(sink.DSN(), "publickey", "oldpublickey", 1)
	aws := NewAWS(t, oldDSN, "")
	lambda := NewLambda(t, binary, "")
	setEnv(lambda, "CRASH_REPORTER_DSN_SECRET_ARN=arn:aws:secretsmanager:eu-central-1:123456789012:secret:dsn-AbCdEf", "AWS_ENDPOINT_URL_SECRETS_MANAGER="+aws.URL(),
		"AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI", "CRASH_REPORTER_MODE=errors")
	lambda.Start()
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Post(throws(r1, "while the key is refused and no other is there"))
	sink.Wait(1)
	if lambda.Shutdown("failure"); len(lambda.Spooled()) != 1 {
		t.Fatalf("spooled %v, log %q", lambda.Spooled(), lambda.Output())
	}
	lambda.Start()
	aws.Put(newDSN) // read by nobody yet, or already read: both must end well
	for i := 0; i < 4; i++ {
		lambda.Post(throws(requestID(i), "kind "+strings.Repeat("x", i+1)))
	}
	lambda.Shutdown("failure")
	if lambda.Start(); len(lambda.Spooled()) > 0 {
		sink.Wait(6) // what is left is sent by the next process
	}
	lambda.Shutdown("spindown")
	if got := readBook(t, lambda).String(); got != "5 crashes, 5 sent, held back map[]" {
		t.Errorf("%s; log %q", got, lambda.Output())
	}
	if strings.Contains(lambda.Output(), "publickey") {
		t.Error("the log shows the DSN")
	}
}

func TestWhatAKilledProcessHadIsCountedByTheNext(t *testing.T) {
	t.Parallel()
	sink := NewSink(t, false)
	lambda := NewLambda(t, binary, "http://publickey@"+blackHole(t)+"/7")
	lambda.Start()
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Post(exits(r1))
	lambda.WaitSpooled(1)
	lambda.Kill()
	setEnv(lambda, "SENTRY_DSN="+sink.DSN())
	lambda.Start()
	sink.Wait(1)
	lambda.Shutdown("spindown")
	if got := readBook(t, lambda).String(); got != "1 crashes, 1 sent, held back map[]" {
		t.Error(got)
	}
}

// metered adds up the metrics in a log.
func metered(t *testing.T, log string) map[string]float64 {
	t.Helper()
	sums := map[string]float64{}
	for _, line := range strings.Split(log, "\n") {
		var metric map[string]any
		if json.Unmarshal([]byte(line), &metric) != nil {
			continue
		}
		want(t, metric, "FunctionName", "my-fn", "_aws/CloudWatchMetrics/0/Namespace", "CdkServerlessBlocks/CrashReporterLayer")
		for _, name := range []string{"Crashes", "NotReported", "Undelivered"} {
			sums[name] += metric[name].(float64)
		}
	}
	return sums
}

func TestCrashesAreMetricsWhereTheyAreAskedFor(t *testing.T) {
	lambda, sink := environment(t, "CRASH_REPORTER_MODE=errors", "CRASH_REPORTER_METRICS=true", "CRASH_REPORTER_SAME_CRASH_WINDOW=300")
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Post(throws(r1, "one"))
	sink.Wait(1)
	lambda.Post(throws(r2, "one"))
	lambda.Shutdown("failure")
	if got := fmt.Sprint(metered(t, lambda.Output())); got != "map[Crashes:2 NotReported:1 Undelivered:0]" {
		t.Errorf("%s: %q", got, lambda.Output())
	}
	if strings.Contains(lambda.Output(), "Reporter\":") {
		t.Errorf("a dimension without a name: %q", lambda.Output())
	}
}

func TestWhatSentryDidNotTakeIsAMetricToo(t *testing.T) {
	lambda, sink := environment(t, "CRASH_REPORTER_MODE=errors", "CRASH_REPORTER_METRICS=true", "CRASH_REPORTER_NAME=Shop/Crashes")
	sink.Answer = func(n int, w http.ResponseWriter, r *http.Request) bool {
		w.WriteHeader(400)
		return true
	}
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Post(throws(r1, "one"))
	sink.Wait(1)
	lambda.Shutdown("failure")
	if got := fmt.Sprint(metered(t, lambda.Output())); got != "map[Crashes:1 NotReported:1 Undelivered:1]" {
		t.Errorf("%s: %q", got, lambda.Output())
	}
	if want := `"Dimensions":[["FunctionName"],["Reporter"]]`; !strings.Contains(lambda.Output(), want) || !strings.Contains(lambda.Output(), `"Reporter":"Shop/Crashes"`) {
		t.Errorf("log %q", lambda.Output())
	}
}

func TestLimitsAndRulesAreTheUsers(t *testing.T) {
	lambda, sink := environment(t, "CRASH_REPORTER_MODE=errors", "CRASH_REPORTER_MAX_REPORTS_PER_MINUTE=2", "CRASH_REPORTER_SAME_CRASH_WINDOW=0",
		`CRASH_REPORTER_IGNORE=[{"type":"Error","message":"socket hang up*"},{"message":"*quiet*"}]`)
	lambda.Post(healthy("nodejs:20.v22"))
	for i, message := range []string{"a", "a", "socket hang up at 1", "be quiet, please", "a"} {
		lambda.Post(throws(requestID(i), message))
	}
	lambda.Shutdown("failure")
	if n, got := len(sink.Events()), readBook(t, lambda).HeldBack; n != 3 || got["ignored"] != 2 {
		t.Errorf("%d events, held back %v", n, got)
	}
}

func TestAThousandCrashesInALoop(t *testing.T) {
	const environments, crashes = 8, 125
	for n := 0; n < environments; n++ {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			lambda, sink := environment(t)
			for i := 1; ; i++ {
				lambda.Post(healthy("nodejs:20.v22"))
				lambda.Post(exits(requestID(i)))
				lambda.Shutdown("failure") // it must end in time, and with exit code 0
				if i == crashes {
					break
				}
				lambda.Start()
			}
			book := readBook(t, lambda)
			if book.Crashes != crashes || book.Sent != len(sink.Events()) || book.Sent+book.HeldBack["duplicate"] != crashes || book.Sent > 2 {
				t.Errorf("%d events, %v", len(sink.Events()), book)
			}
			files, err := os.ReadDir(lambda.StateDir)
			if err != nil || len(files) != 1 {
				t.Errorf("%d files are left %v", len(files), err)
			}
		})
	}
}
