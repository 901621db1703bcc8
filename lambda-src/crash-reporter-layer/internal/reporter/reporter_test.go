package reporter

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand"
	"strings"
	"sync"
	"testing"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/crash"
	. "cdk-serverless-blocks/crash-reporter/internal/harness"
	"cdk-serverless-blocks/crash-reporter/internal/redact"
	"cdk-serverless-blocks/crash-reporter/internal/sentry"
	"cdk-serverless-blocks/crash-reporter/internal/state"
	"cdk-serverless-blocks/crash-reporter/internal/telemetry"
)

// bench is a Reporter with a clock and a Sentry made of variables.
type bench struct {
	*Reporter
	ingest  *telemetry.Ingest
	mu      sync.Mutex
	now     time.Time
	result  sentry.Result
	answer  func(sentry.DSN) sentry.Result // instead of result
	sent    []map[string]any
	reports []string
	lines   []string
	options Options
}

func newBench(dir string) *bench { return newBenchAt(dir, time.Unix(1_800_000_000, 0)) }

func newBenchAt(dir string, now time.Time) *bench {
	b := &bench{now: now}
	clock := func() time.Time {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.now
	}
	b.options = Options{
		Tracker: crash.New(crash.Options{Self: "crash-reporter"}), Ledger: state.OpenLedger(dir, state.Limits{PerMinute: 10, Window: time.Minute}, b.now), Spool: state.OpenSpool(dir),
		Redactor: redact.New(nil, nil, nil), SampleRate: 1, Now: clock, PerMinute: 10, Log: func(line string) { b.lines = append(b.lines, line) }, Print: func(line string) { b.lines = append(b.lines, line) },
		Function: func() sentry.Function { return sentry.Function{Name: "my-fn"} },
		DSN:      func(context.Context) (sentry.DSN, error) { return sentry.ParseDSN("http://k@127.0.0.1/1") },
		Send: func(_ context.Context, dsn sentry.DSN, m sentry.Message) sentry.Result {
			result := b.result
			if b.answer != nil {
				result = b.answer(dsn)
			}
			if len(m.Event) > 0 {
				var event map[string]any
				_ = json.Unmarshal(m.Event, &event)
				b.sent = append(b.sent, event)
			}
			if len(m.Report) > 0 && result.Outcome == sentry.Delivered {
				b.reports = append(b.reports, string(m.Report))
				result.ReportTaken = true
			}
			return result
		},
	}
	b.Reporter = New(b.options)
	b.ingest = &telemetry.Ingest{Sink: b.Reporter, Now: clock}
	return b
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	b.now = b.now.Add(d)
	b.mu.Unlock()
}

// crash posts the crash of a request and lets it come due.
func (b *bench) crash(id string) {
	b.ingest.Read(strings.NewReader(Batch(Start(id), Done(id, "error", "Runtime.ExitError", 12))))
	b.pass(60 * time.Millisecond)
	b.Flush(context.Background())
}

// retry is what Run does when its timer fires.
func (b *bench) retry() { b.deliver(context.Background(), time.Second, false) }

func TestARateLimitIsKeptForItsTimeAndItsCrashesAreCounted(t *testing.T) {
	b := newBench(t.TempDir())
	b.result = sentry.Result{Outcome: sentry.Limited, Silence: time.Minute}
	b.crash("r1")
	b.result = sentry.Result{}
	b.crash("r2")
	b.pass(50 * time.Second)
	b.crash("r3")
	if len(b.sent) != 1 {
		t.Fatalf("%d sent within the limit, want 1", len(b.sent))
	}
	b.pass(10 * time.Second)
	b.crash("r4")
	if len(b.sent) != 2 || Dig(b.sent[1], "tags", "lambda.suppressed") != "3" {
		t.Errorf("%d sent, suppressed %v", len(b.sent), Dig(b.sent[len(b.sent)-1], "tags", "lambda.suppressed"))
	}
}

func TestALimitCountsForWhatIsQueuedAlready(t *testing.T) {
	b := newBench(t.TempDir())
	b.result = sentry.Result{Outcome: sentry.Delivered, Silence: time.Minute}
	b.ingest.Read(strings.NewReader(Batch(Start("r1"), Done("r1", "error", "Runtime.ExitError", 1), Start("r2"), Done("r2", "error", "Runtime.BadFunctionCode", 1))))
	b.pass(60 * time.Millisecond)
	b.Flush(context.Background())
	if len(b.sent) != 1 {
		t.Fatalf("%d sent, want 1", len(b.sent))
	}
	b.pass(time.Minute)
	b.result = sentry.Result{}
	b.ingest.Read(strings.NewReader(Batch(Start("r3"), Done("r3", "error", "Runtime.BadFunctionCode", 1))))
	b.pass(60 * time.Millisecond)
	b.Flush(context.Background())
	if len(b.sent) != 2 || Dig(b.sent[1], "tags", "lambda.suppressed") != "1" {
		t.Errorf("%d sent, suppressed %v", len(b.sent), Dig(b.sent[len(b.sent)-1], "tags", "lambda.suppressed"))
	}
}

func TestIdenticalCrashesAreSentOnceAMinuteWithTheirCount(t *testing.T) {
	b := newBench(t.TempDir())
	for i := 0; i < 200; i++ {
		b.crash(fmt.Sprint("r", i))
		b.pass(-55 * time.Millisecond)
	}
	if len(b.sent) != 1 {
		t.Fatalf("%d sent, want 1", len(b.sent))
	}
	b.pass(time.Minute)
	b.crash("last")
	if len(b.sent) != 2 || Dig(b.sent[1], "tags", "lambda.suppressed") != "199" {
		t.Errorf("%d sent, suppressed %v", len(b.sent), Dig(b.sent[1], "tags", "lambda.suppressed"))
	}
}

func TestDifferentCrashesAreLimitedToTenAMinute(t *testing.T) {
	b := newBench(t.TempDir())
	for i := 0; i < 30; i++ {
		id := fmt.Sprint("r", i)
		b.ingest.Read(strings.NewReader(Batch(Start(id), Done(id, "error", "Runtime.Kind"+strings.Repeat("X", i), 1))))
		b.pass(60 * time.Millisecond)
		b.Flush(context.Background())
	}
	if len(b.sent) != 10 {
		t.Errorf("%d sent, want 10", len(b.sent))
	}
}

func TestFailedDeliveryBacksOffAndIsTriedAgainWithTheSameID(t *testing.T) {
	b := newBench(t.TempDir())
	b.result = sentry.Result{Outcome: sentry.Failed, Err: context.DeadlineExceeded}
	b.crash("r1")
	b.retry()
	if len(b.sent) != 1 {
		t.Fatalf("%d tries at once, want 1", len(b.sent))
	}
	b.pass(1100 * time.Millisecond)
	b.result = sentry.Result{}
	b.Flush(context.Background()) // an invocation does not wait for it
	if len(b.sent) != 1 {
		t.Fatalf("%d tries, want 1", len(b.sent))
	}
	b.retry()
	b.retry()
	if len(b.sent) != 2 || b.sent[0]["event_id"] != b.sent[1]["event_id"] {
		t.Errorf("sent %d times", len(b.sent))
	}
	if left, _ := b.options.Spool.Leftovers(b.now); len(left) != 0 {
		t.Errorf("still spooled: %v", left)
	}
}

func TestWhatWaitsIsBoundedAndWhatIsLeftOutIsCounted(t *testing.T) {
	dir := t.TempDir()
	b := newBench(dir)
	b.result = sentry.Result{Outcome: sentry.Failed, Err: context.DeadlineExceeded}
	for i := 0; i < 10; i++ {
		id := fmt.Sprint("r", i)
		b.ingest.Read(strings.NewReader(Batch(Start(id), Done(id, "error", "Runtime.Kind"+strings.Repeat("X", i), 1))))
		b.pass(60 * time.Millisecond)
		b.Flush(context.Background())
	}
	if len(b.queue) != 8 {
		t.Fatalf("%d wait, want 8", len(b.queue))
	}
	b.result = sentry.Result{}
	b.pass(time.Hour)
	b.retry()
	b.ingest.Read(strings.NewReader(Batch(Start("last"), Done("last", "error", "Runtime.Kind"+strings.Repeat("X", 9), 1))))
	b.pass(60 * time.Millisecond)
	b.Flush(context.Background())
	if last := b.sent[len(b.sent)-1]; len(b.queue) != 0 || Dig(last, "tags", "lambda.suppressed") != "1" {
		t.Errorf("%d wait, suppressed %v", len(b.queue), Dig(last, "tags", "lambda.suppressed"))
	}
}

func TestSamplingDecidesByTheRequest(t *testing.T) {
	const requests = 2000
	taken := 0
	b := newBench("/proc/nowhere")
	b.o.SampleRate = 0.25
	for i := 0; i < requests; i++ {
		r := crash.Report{RequestID: fmt.Sprint("request-", i)}
		if b.sampled(r) != b.sampled(r) {
			t.Fatal("the same request is not always sampled alike")
		}
		if b.sampled(r) {
			taken++
		}
	}
	if taken < requests/5 || taken > requests*3/10 {
		t.Errorf("%d of %d taken at rate 0.25", taken, requests)
	}
}

func TestMessagesThatDifferInNumbersAreTheSameCrash(t *testing.T) {
	a, b := crash.Report{Type: "E", Value: "order 17 of user a1b2c3 not found"}, crash.Report{Type: "E", Value: "order 9999 of user ffee00 not found"}
	if fingerprintOf("f", a) != fingerprintOf("f", b) {
		t.Error("fingerprints differ")
	}
	b.Value = "order 9999 of user ffee00 not paid"
	if fingerprintOf("f", a) == fingerprintOf("f", b) {
		t.Error("fingerprints are equal")
	}
}

var posts = []string{
	Batch(InitStart("init", "nodejs:20.v22"), InitDone("init", "error", "Runtime.ExitError"), InitReport("init", "timeout", "", 10000)),
	Batch(Start("r1"), Log("2026-01-01T00:00:00Z\tr1\tERROR\tInvoke Error \t{\"errorType\":\"Error\",\"errorMessage\":\"b\",\"stack\":[\"Error: b\",\"    at f (/var/task/a.js:1:2)\"]}"), Done("r1", "error", "Runtime.ExitError", 5), Report("r1", "error", "", 128, 128)),
	Batch(Log("panic: boom"), Log("goroutine 1 [running]:"), Log("main.f()"), Log("\t/x/main.go:1 +0x1"), Done("r2", "timeout", "", 5000)),
	Batch(Log(R{"level": "ERROR", "requestId": "r1", "message": R{"errorType": "E", "errorMessage": "x", "cause": R{"errorType": "F", "errorMessage": "y"}}})),
	Batch(Event("platform.extension", R{"name": "other", "state": "ExitError", "errorType": "Extension.Crash"}), Event("platform.logsDropped", R{"droppedRecords": 3})),
	Batch(Event("platform.restoreStart", R{"runtimeVersion": "java:21"}), Event("platform.restoreReport", R{"status": "error", "errorType": "Runtime.AfterRestoreError"})),
	`[{"time":"T","type":"function","record":{"message":"AAAA}]`,
	`[{"time":"T","type":"function","record":BBBB"}},{"time":"T2","type":"platform.runtimeDone","record":{"requestId":"abc","status":"error"}}]`,
}

// mutate changes bytes, drops some, and puts pieces of other posts in between.
func mutate(random *rand.Rand, body []byte) []byte {
	for n := random.Intn(6); n > 0 && len(body) > 0; n-- {
		at := random.Intn(len(body))
		switch random.Intn(4) {
		case 0:
			body[at] = byte(random.Intn(256))
		case 1:
			end := min(len(body), at+random.Intn(20))
			body = append(body[:at], body[end:]...)
		case 2:
			other := posts[random.Intn(len(posts))]
			body = append(body[:at], append([]byte(other[random.Intn(len(other)):]), body[at:]...)...)
		case 3:
			body[at] = `{}[]",:\0`[random.Intn(9)]
		}
	}
	return body
}

// mutatedPosts is a bounded run; `go test -fuzz FuzzPost` runs for as long as you like.
const mutatedPosts = 100_000

func TestMutatedPostsNeverStopTheReporter(t *testing.T) {
	random := rand.New(rand.NewSource(42))
	b := newBench("/proc/nowhere")
	start := time.Now()
	for i := 0; i < mutatedPosts; i++ {
		b.ingest.Read(strings.NewReader(string(mutate(random, []byte(posts[random.Intn(len(posts))])))))
		if i%16 == 0 {
			b.pass(20 * time.Millisecond)
			b.Flush(context.Background())
		}
	}
	t.Logf("%d posts, %.0f a second, %d events", mutatedPosts, mutatedPosts/time.Since(start).Seconds(), len(b.sent))
	b.pass(10 * time.Minute)
	b.Flush(context.Background()) // at most eight crashes wait; these must make room
	b.pass(10 * time.Minute)
	before := len(b.sent)
	b.ingest.Read(strings.NewReader(healthyPost))
	id := "6d68ca91-49c9-448d-89b8-7ca3e6dc66aa"
	b.ingest.Read(strings.NewReader(Batch(Start(id), Done(id, "error", "Runtime.LastOfAll", 12))))
	b.pass(time.Second)
	b.Flush(context.Background())
	if len(b.sent) == before || Dig(b.sent[len(b.sent)-1], "exception", "values", -1, "type") != "Runtime.LastOfAll" {
		t.Errorf("after the mutated posts a real crash was not reported; last: %v", b.sent[len(b.sent)-1])
	}
}

var healthyPost = Batch(InitStart("init", "nodejs:20.v22"), InitDone("init", "success", ""))

// FuzzPost: no sequence of two posts may panic or send an invalid event.
func FuzzPost(f *testing.F) {
	for _, post := range posts {
		f.Add([]byte(post), []byte(posts[0]), "failure")
	}
	f.Fuzz(func(t *testing.T, first, second []byte, reason string) {
		b := newBench("/proc/nowhere")
		b.ingest.Read(strings.NewReader(string(first)))
		b.ingest.Read(strings.NewReader(string(second)))
		b.pass(time.Second)
		b.Flush(context.Background())
		b.admit(func() []crash.Report { return b.o.Tracker.Shutdown(reason, b.now) })
		b.deliver(context.Background(), time.Second, true)
		for _, event := range b.sent {
			if values, _ := Dig(event, "exception", "values").([]any); len(values) == 0 {
				t.Errorf("event without exception: %v", event)
			}
		}
	})
}
