package telemetry

import (
	"io"
	"strings"
	"testing"
	"time"
)

// Each limit from both sides: otherwise nobody would see it change.
func TestLimits(t *testing.T) {
	for length, want := range map[int]int{512: 512, 513: 512} {
		event, _ := Decode([]byte(`{"type":"platform.start","record":{"requestId":"` + strings.Repeat("x", length) + `"}}`))
		if len(event.RequestID) != want {
			t.Errorf("a field of %d has %d", length, len(event.RequestID))
		}
	}
	for text, want := range map[string]float64{"1e15": 1e15, "1.1e15": 0, "0": 0, "-1": 0, `"128"`: 128, "0.5": 0.5} {
		if got := number([]byte(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	const mark = `"type":"function"`
	for at, want := range map[int]bool{96: true, 97: false} {
		if got := IsLog([]byte(strings.Repeat(" ", at-len(mark)) + mark)); got != want {
			t.Errorf("it ends at %d: %v", at, got)
		}
	}
	// A record of 260 KiB is read, a longer one is not, and what follows it is.
	empty := `{"time":"T","type":"function","record":""}`
	for length, want := range map[int]int{260 << 10: 2, 260<<10 + 1: 1} {
		in, got := ingest(nil)
		in.Read(strings.NewReader(`[` + strings.Replace(empty, `""`, `"`+strings.Repeat("x", length-len(empty))+`"`, 1) + `,` + crash + `]`))
		if len(got.events) != want || got.events[len(got.events)-1].RequestID != "abc" {
			t.Errorf("a record of %d bytes: %d events", length, len(got.events))
		}
	}
	// 256 levels are read: the event and its record, and lists in it.
	for depth, want := range map[int]int{256: 2, 257: 1} {
		in, got := ingest(nil)
		in.Read(strings.NewReader(`[{"time":"T","type":"function","record":` + strings.Repeat("[", depth-2) + strings.Repeat("]", depth-2) + `},` + crash + `]`))
		if len(got.events) != want {
			t.Errorf("%d levels: %d events", depth, len(got.events))
		}
	}
	// The second half counts for a second.
	for late, want := range map[time.Duration]int{time.Second: 2, time.Second + 1: 1} {
		now := time.Unix(1000, 0)
		in, got := ingest(func() time.Time { return now })
		in.Read(strings.NewReader(head))
		now = now.Add(late)
		in.Read(strings.NewReader(tail))
		if len(got.events) != want {
			t.Errorf("after %v: %d events", late, len(got.events))
		}
	}
	// What comes before a record may have 80 bytes.
	const before = `{"time":"T",`
	for length, want := range map[int]int{80: 2, 81: 1} {
		first := strings.Replace(before, "T", strings.Repeat("T", length-len(before)+1), 1) + `"type":"function","record":`
		in, got := ingest(nil)
		in.Read(strings.NewReader(`[` + first + `"AA}]`))
		in.Read(strings.NewReader(`[` + first + `BB"},` + crash + `]`))
		if len(got.events) != want {
			t.Errorf("%d bytes: %d events", length, len(got.events))
		}
	}
}

func TestWhatIsAroundAnEvent(t *testing.T) {
	for batch, want := range map[string]int{
		`[{` + crash + `]`:        1, // an element that breaks with its second byte
		`[` + crash + `]` + crash: 1, // after the end
		`[{"time":"T","type":"platform.x","record":{"n":19,"m":[0,9]}},` + crash + `]`: 2,
	} {
		in, got := ingest(nil)
		in.Read(strings.NewReader(batch))
		if len(got.events) != want {
			t.Errorf("%s: %d events", batch, len(got.events))
		}
	}
}

// endless is a record that never ends, and how much of it was read.
type endless int

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	*e += endless(len(p))
	return len(p), nil
}

func TestAPostIsReadTo16MiB(t *testing.T) {
	in, _ := ingest(nil)
	var read endless
	in.Read(io.MultiReader(strings.NewReader(`[{"time":"`), &read))
	if read < 15<<20 || read > 17<<20 {
		t.Errorf("%d bytes were read", read)
	}
}
