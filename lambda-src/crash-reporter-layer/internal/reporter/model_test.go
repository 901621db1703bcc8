package reporter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/crash"
	. "cdk-serverless-blocks/crash-reporter/internal/harness"
	"cdk-serverless-blocks/crash-reporter/internal/sentry"
	"cdk-serverless-blocks/crash-reporter/internal/state"
)

// model is what an onlooker knows who counts the crashes that Lambda reports and
// the events that Sentry takes. The reporter's book must agree after every step.
type model struct {
	*bench
	t        *testing.T
	random   *rand.Rand
	dir      string
	steps    []string
	metered  struct{ Crashes, NotReported int }
	lastID   string
	crashes  int            // told by Lambda, and due
	taken    int            // by Sentry
	thrown   int            // by Sentry, for its rate limit
	refused  int            // by Sentry, for ever
	told     map[string]int // by client reports that Sentry took
	released int            // held back before, and tried after all at an end
}

func newModel(t *testing.T, seed int64, dir string) *model {
	m := &model{t: t, random: rand.New(rand.NewSource(seed)), dir: dir, told: map[string]int{}}
	m.start(time.Unix(1_800_000_000, 0))
	return m
}

// start is another process in the same environment.
func (m *model) start(now time.Time) {
	m.bench = newBenchAt(m.dir, now)
	m.o.Tracker = crash.New(crash.Options{HandlerErrors: true})
	m.o.Ignore = []crash.IgnoreRule{{Message: "harmless*"}}
	m.o.SampleRate = 0.8
	m.o.DSNIsStored = true
	m.o.Metrics = true
	m.o.Print = func(line string) {
		var metric struct{ Crashes, NotReported, Undelivered int }
		if err := json.Unmarshal([]byte(line), &metric); err != nil || metric.Crashes < 0 || metric.NotReported < 0 || metric.Undelivered < 0 {
			m.t.Fatalf("metric %s: %v", line, err)
		}
		m.metered.Crashes += metric.Crashes
		m.metered.NotReported += metric.NotReported
	}
	m.o.DSN = func(context.Context) (sentry.DSN, error) {
		if m.random.Intn(8) == 0 {
			return sentry.DSN{}, errors.New("no way to the secret")
		}
		return sentry.ParseDSN(fmt.Sprintf("http://k%d@127.0.0.1/1", m.random.Intn(2)))
	}
	m.o.Send = m.sentry
	m.takeLeftovers()
	m.meter("")
}

// sentry answers as it likes, and counts as the real one does.
func (m *model) sentry(_ context.Context, _ sentry.DSN, message sentry.Message) sentry.Result {
	outcomes := []sentry.Outcome{sentry.Delivered, sentry.Delivered, sentry.Delivered, sentry.Failed, sentry.Failed, sentry.Limited, sentry.Rejected, sentry.Unauthorized}
	result := sentry.Result{Outcome: outcomes[m.random.Intn(len(outcomes))], Err: errors.New("so it is")}
	if result.Outcome == sentry.Limited || m.random.Intn(20) == 0 {
		result.Silence = time.Duration(1+m.random.Intn(90)) * time.Second
	}
	if len(message.Event) > 0 {
		switch result.Outcome {
		case sentry.Delivered:
			m.taken++
		case sentry.Limited:
			m.thrown++
		case sentry.Rejected:
			m.refused++
		}
	}
	if len(message.Report) > 0 && result.Outcome == sentry.Delivered {
		result.ReportTaken = true
		var report struct {
			Discarded []struct {
				Reason   string
				Quantity int
			} `json:"discarded_events"`
		}
		if err := json.Unmarshal(message.Report, &report); err != nil {
			m.t.Fatalf("client report %s: %v", message.Report, err)
		}
		for _, d := range report.Discarded {
			m.told[d.Reason] += d.Quantity
		}
	}
	return result
}

var modelWords = []string{"alpha", "beta", "gamma", "delta", "harmless as such", "epsilon", "zeta"}

// posts some crashes, by whatever signals, and lets them come due.
func (m *model) crash() {
	n := 1 + m.random.Intn(4)
	var events []string
	for i := 0; i < n; i++ {
		id := fmt.Sprintf("%08x-49c9-448d-89b8-7ca3e6dc66aa", m.random.Uint32())
		if i == 0 && m.lastID != "" && m.random.Intn(3) == 0 {
			id = m.lastID // Lambda's next try
		}
		m.lastID = id
		message := fmt.Sprintf("%s %d %s", modelWords[m.random.Intn(len(modelWords))], m.random.Int(), strings.Repeat("x", m.random.Intn(6)))
		events = append(events, Start(id))
		switch m.random.Intn(3) {
		case 0:
			events = append(events, Done(id, "error", "Runtime.Kind"+strings.Repeat("X", m.random.Intn(6)), 5))
		case 1:
			events = append(events, Log("2026-01-01T00:00:00Z\t"+id+"\tERROR\tInvoke Error \t"+string(mustJSON(map[string]any{"errorType": "Error", "errorMessage": message}))), Done(id, "success", "", 5))
		default:
			events = append(events, Done(id, "timeout", "", 3000), Report(id, "timeout", "", 128, 60))
		}
	}
	m.crashes += n
	m.ingest.Read(strings.NewReader(Batch(events...)))
	m.pass(60 * time.Millisecond)
}

func mustJSON(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

func (m *model) step() {
	ctx := context.Background()
	switch n := m.random.Intn(20); {
	case n < 9:
		m.crash()
		m.steps = append(m.steps, "crash")
		if m.random.Intn(4) == 0 {
			m.admit(m.due) // they are known, and nobody sends them yet
		} else {
			m.Flush(ctx)
		}
	case n < 12:
		m.steps = append(m.steps, "retry")
		m.deliver(ctx, time.Second, m.random.Intn(2) == 0)
	case n < 17:
		m.steps = append(m.steps, "time passes")
		m.pass(time.Duration(m.random.Intn(40)) * time.Second)
		m.tellSometimes()
	case n < 18 && m.dir != nowhere:
		m.steps = append(m.steps, "killed")
		m.admit(m.due) // a crash that is not due yet when the process is killed is not known to anybody
		m.start(m.now)
	default:
		reason := []string{"spindown", "failure", "timeout"}[m.random.Intn(3)]
		m.steps = append(m.steps, "ends with "+reason)
		m.work(ctx, func() []crash.Report { return m.o.Tracker.Shutdown(reason, m.now) }, time.Second, true)
		m.released += len(m.last)
		m.closeBook(ctx, reason == "spindown")
		m.check()
		if m.dir == nowhere { // its book dies with it: the onlooker starts anew, too
			m.crashes, m.taken, m.thrown, m.refused, m.released, m.told = 0, 0, 0, 0, 0, map[string]int{}
			m.metered.Crashes, m.metered.NotReported = 0, 0
		}
		m.start(m.now)
	}
	m.check()
}

func (m *model) check() {
	m.t.Helper()
	m.admit(m.due)
	book := m.o.Ledger.Account()
	fail := func(format string, values ...any) {
		m.t.Fatalf("%s\nbook: %s\nafter %d steps, the last ones: %s", fmt.Sprintf(format, values...), m.sentence(book), len(m.steps), strings.Join(m.steps[max(0, len(m.steps)-12):], ", "))
	}
	if book.Crashes != m.crashes {
		fail("%d crashes in the book, Lambda told of %d", book.Crashes, m.crashes)
	}
	if book.Sent != m.taken {
		fail("%d sent in the book, Sentry took %d", book.Sent, m.taken)
	}
	if book.HeldBack[state.Throttled] != m.thrown || book.HeldBack[state.Refused] != m.refused {
		fail("Sentry threw away %d and refused %d", m.thrown, m.refused)
	}
	if waiting := len(m.arrived) + len(m.queue); book.Waiting() != waiting {
		fail("%d wait in the book, %d do", book.Waiting(), waiting)
	}
	if over := m.metered.NotReported - book.NotReported(); m.metered.Crashes != m.crashes || over < 0 || over > m.released {
		fail("the metrics have %d crashes, %d not reported", m.metered.Crashes, m.metered.NotReported)
	}
	for reason, n := range book.HeldBack {
		if n < 0 {
			fail("%d %s", n, reason)
		}
	}
	// What has been and will be reported to Sentry is what was held back, and at most also
	// those that were reported and then sent after all, at an end: the next ones make up for them.
	difference := map[string]int{}
	for reason, n := range m.told {
		difference[reason] += n
	}
	for reason, n := range m.o.Ledger.Unreported() {
		difference[sentryReasons[reason]] += n
	}
	for reason, n := range book.HeldBack {
		if reason != state.Throttled { // Sentry counts those itself
			difference[sentryReasons[reason]] -= n
		}
	}
	over := 0
	for reason, n := range difference {
		if over += n; n < 0 {
			fail("Sentry will not be told of %d %s", -n, reason)
		}
	}
	if over > m.released {
		fail("Sentry is told of %d too many, %d were sent after all", over, m.released)
	}
}

const nowhere = "/proc/nowhere"

// Crashes = sent + waiting + held back by reason, at every moment, whatever comes, in
// whatever order: answers of Sentry's, limits, kills, ends, a disk or none.
func TestTheBookBalancesAfterEveryStep(t *testing.T) {
	for seed := int64(1); seed <= 12; seed++ {
		for name, dir := range map[string]string{"disk": t.TempDir(), "no disk": nowhere} {
			t.Run(fmt.Sprintf("%s, seed %d", name, seed), func(t *testing.T) {
				m := newModel(t, seed, dir)
				for i := 0; i < 60; i++ {
					m.step()
				}
			})
		}
	}
}
