package sentry

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/crash"
	"cdk-serverless-blocks/crash-reporter/internal/stack"
)

// huge is as large as the reader of stacks lets a report become.
func huge(exceptions, frames int) crash.Report {
	long := strings.Repeat("x", 500)
	r := crash.Report{Time: time.Unix(1_800_000_000, 0), Type: "Last", Value: strings.Repeat("v", 4000)}
	for i := 0; i < exceptions; i++ {
		e := stack.Exception{Type: fmt.Sprint("E", i), Value: r.Value}
		for n := 0; n < frames; n++ {
			e.Frames = append(e.Frames, stack.Frame{Function: fmt.Sprint("f", n, long), Module: long, Path: "/var/task/" + long, Source: long, Line: n + 1})
		}
		r.Exceptions = append(r.Exceptions, e)
	}
	for i := 0; i < 20; i++ {
		r.Crumbs = append(r.Crumbs, crash.Crumb{Text: strings.Repeat("c", 400)})
	}
	return r
}

func TestALargeEventIsMadeToFitAndKeepsWhereItBroke(t *testing.T) {
	const limit = 64 << 10
	for name, c := range map[string]struct {
		exceptions, frames                     int
		wantExceptions, wantFrames, wantCrumbs int
	}{
		"small enough":       {1, 5, 1, 5, 20},
		"without extras":     {2, 13, 2, 13, 0},
		"with shorter stack": {1, 60, 1, 20, 0},
		"with shorter text":  {8, 60, 3, 20, 0},
	} {
		raw := Encode(BuildEvent("id", Function{Name: "fn"}, huge(c.exceptions, c.frames), 0))
		small := Fit(raw, limit)
		var event struct {
			Exception struct {
				Values []struct {
					Type       string
					Stacktrace struct{ Frames []struct{ Function string } }
				}
			}
			Breadcrumbs struct{ Values []any }
		}
		if err := json.Unmarshal(small, &event); err != nil {
			t.Fatal(err)
		}
		values := event.Exception.Values
		last := values[len(values)-1]
		frames := last.Stacktrace.Frames
		if len(small) > limit || len(values) != c.wantExceptions || len(frames) != c.wantFrames || len(event.Breadcrumbs.Values) != c.wantCrumbs {
			t.Errorf("%s: %d bytes of %d, %d exceptions, %d frames, %d breadcrumbs", name, len(small), len(raw), len(values), len(frames), len(event.Breadcrumbs.Values))
		}
		if last.Type != fmt.Sprint("E", c.exceptions-1) || !strings.HasPrefix(frames[len(frames)-1].Function, fmt.Sprint("f", c.frames-1, "x")) || !strings.HasPrefix(frames[0].Function, "f0x") {
			t.Errorf("%s: it lost the error, or the ends of its stack", name)
		}
	}
	if got := Fit([]byte("no json"), 1); string(got) != "no json" {
		t.Errorf("%s", got)
	}
}
