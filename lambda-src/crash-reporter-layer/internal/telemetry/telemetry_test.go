package telemetry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"time"
)

// recorder keeps every event.
type recorder struct{ events []Event }

func (r *recorder) WantsLog([]byte) bool { return true }
func (r *recorder) Observe(e Event)      { r.events = append(r.events, e) }

func ingest(now func() time.Time) (*Ingest, *recorder) {
	r := &recorder{}
	if now == nil {
		now = time.Now
	}
	return &Ingest{Sink: r, Now: now}, r
}

const (
	head  = `[{"time":"T","type":"function","record":{"message":"AAAA}]`
	tail  = `[{"time":"T","type":"function","record":BBBB"}},` + crash + `]`
	crash = `{"time":"T2","type":"platform.runtimeDone","record":{"requestId":"abc","status":"error","errorType":"Runtime.ExitError"}}`
)

func TestSplitRecordIsJoinedWithinASecond(t *testing.T) {
	in, got := ingest(nil)
	in.Read(strings.NewReader(head))
	in.Read(strings.NewReader(tail))
	if len(got.events) != 2 || string(got.events[0].Log) != `{"message":"AAAABBBB"}` || got.events[1].RequestID != "abc" {
		t.Errorf("events %+v", got.events)
	}
}

func TestSplitRecordIsNotJoinedAfterASecond(t *testing.T) {
	now := time.Unix(1000, 0)
	in, got := ingest(func() time.Time { return now })
	in.Read(strings.NewReader(head))
	now = now.Add(1100 * time.Millisecond)
	in.Read(strings.NewReader(tail))
	if len(got.events) != 1 || got.events[0].RequestID != "abc" {
		t.Errorf("events %+v", got.events)
	}
}

// Lambda may cut a record at any byte; the platform event behind it must never
// be lost, and the record itself only where the cut falls between tokens.
func TestARecordCutAnywhereStillDeliversTheCrash(t *testing.T) {
	const prefix = `{"time":"T","type":"function","record":`
	record := `{"level":"ERROR","message":{"errorType":"E\"x","stack":["a b","c"],"n":-1.5e3,"t":true,"o":null}}`
	joined := 0
	for cut := 0; cut <= len(record); cut++ {
		in, got := ingest(nil)
		in.Read(strings.NewReader(`[` + prefix + record[:cut] + `}]`))
		in.Read(strings.NewReader(`[` + prefix + record[cut:] + `},` + crash + `]`))
		last := Event{}
		if n := len(got.events); n > 0 {
			last = got.events[n-1]
		}
		if last.RequestID != "abc" {
			t.Errorf("cut at %d (%s|%s): %+v", cut, record[:cut], record[cut:], got.events)
		}
		if len(got.events) == 2 && string(got.events[0].Log) == record {
			joined++
		}
	}
	if joined < len(record)-1 {
		t.Errorf("the record was joined in %d of %d cuts", joined, len(record)+1)
	}
}

func TestEveryElementIsEmittedHoweverTheBodyIsCut(t *testing.T) {
	batch := `[` + crash + ` , {"time":"T","type":"function","record":"a\"b\\"}, {"time":"T","type":"x","record":[{},[1,2.5e-3,null,true,false]]} ]`
	for size := 1; size < len(batch); size++ {
		n := 0
		s := &splitter{emit: func(el []byte) {
			if !json.Valid(el) {
				t.Errorf("invalid element %s", el)
			}
			n++
		}}
		for rest := []byte(batch); len(rest) > 0; {
			k := min(size, len(rest))
			s.write(rest[:k])
			rest = rest[k:]
		}
		if n != 3 || len(s.rest()) != 0 {
			t.Fatalf("size %d: %d elements, rest %q", size, n, s.rest())
		}
	}
}

func TestNestedRecordsAreNotTakenForEvents(t *testing.T) {
	in, got := ingest(nil)
	in.Read(strings.NewReader(`[{"time":"T","type":"function","record":` + crash + `}]`))
	if len(got.events) != 1 || got.events[0].Type != "function" {
		t.Errorf("events %+v", got.events)
	}
}

func TestMemoryOfOneElementIsBounded(t *testing.T) {
	in, got := ingest(nil)
	in.Read(strings.NewReader(`[{"time":"T","type":"function","record":"` + strings.Repeat("x", 5<<20) + `"},` + crash + `]`))
	if len(got.events) != 1 || got.events[0].RequestID != "abc" {
		t.Errorf("%d events", len(got.events))
	}
	if in.fragment != nil {
		t.Error("kept a fragment")
	}
}

func TestTolerantNumbers(t *testing.T) {
	e, ok := Decode([]byte(`{"time":"2026-11-21T00:00:00Z","type":"platform.report","record":{"metrics":{"memorySizeMB":"128","maxMemoryUsedMB":64.5,"durationMs":null}}}`))
	if !ok || e.MemorySizeMB != 128 || e.MaxMemoryUsedMB != 64.5 || e.DurationMs != 0 || e.Time.IsZero() {
		t.Errorf("%v %+v", ok, e)
	}
}

var seeds = []string{head, tail, `[` + crash + `]`, `[]`, ``, `{`, `[{"time":"`, `[null,1,"x",[{}]]`, `[` + strings.Repeat(`{"time":"`, 50),
	"[{\"time\":\"T\",\"type\":\"function\",\"record\":\"2026\\tundefined\\tERROR\\tUncaught Exception \\t{}\\n\"}]"}

// FuzzTelemetryPost: no body may panic, and what is valid JSON must be split as
// encoding/json would.
func FuzzTelemetryPost(f *testing.F) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) { checkPost(t, body) })
}

func checkPost(t testing.TB, body []byte) {
	in, _ := ingest(nil)
	in.Read(bytes.NewReader(body))
	in.Read(bytes.NewReader(body)) // the second half of itself
	var elements []json.RawMessage
	if json.Unmarshal(body, &elements) != nil || len(body) > maxElement {
		return
	}
	var want []string
	for _, el := range elements {
		if len(el) > 0 && el[0] == '{' {
			want = append(want, string(el))
		}
	}
	var got []string
	s := &splitter{emit: func(el []byte) { got = append(got, string(el)) }}
	s.write(body)
	if !s.deep(body) && fmt.Sprint(objects(got)) != fmt.Sprint(want) {
		t.Errorf("split %q into %q, want %q", body, got, want)
	}
}

// deep: more nesting than is allowed counts as broken.
func (s *splitter) deep(body []byte) bool {
	return bytes.Count(body, []byte("["))+bytes.Count(body, []byte("{")) >= maxNesting
}

func objects(in []string) (out []string) {
	for _, el := range in {
		if strings.HasPrefix(el, "{") {
			out = append(out, el)
		}
	}
	return out
}

func TestMutatedPostsCrashNothing(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	const posts = 60000
	for i := 0; i < posts; i++ {
		body := []byte(seeds[random.Intn(len(seeds))])
		for n := random.Intn(8); n > 0 && len(body) > 0; n-- {
			at := random.Intn(len(body))
			switch random.Intn(4) {
			case 0:
				body[at] = byte(random.Intn(256))
			case 1:
				body = append(body[:at], body[at+1:]...)
			case 2:
				body = append(body[:at], append([]byte(seeds[random.Intn(len(seeds))]), body[at:]...)...)
			case 3:
				body[at] = `{}[]",:\`[random.Intn(8)]
			}
		}
		if checkPost(t, body); t.Failed() {
			return
		}
	}
}

func TestNestingCostsNoMemory(t *testing.T) {
	s := &splitter{emit: func([]byte) {}}
	s.write([]byte(`[{"time":"T","type":"function","record":` + strings.Repeat("[", 1<<20)))
	if len(s.stack) > maxNesting || len(s.element) > maxElement {
		t.Errorf("%d brackets, %d bytes are kept", len(s.stack), len(s.element))
	}
}
