package config

import (
	"fmt"
	"strings"
	"testing"
)

// Each limit from both sides: otherwise nobody would see it change.
func TestLimits(t *testing.T) {
	tagsOf := func(raw string) int {
		c, _, _ := load(t, map[string]string{"SENTRY_DSN": "https://k@host/1", "CRASH_REPORTER_TAGS": raw})
		return len(c.Function.Tags)
	}
	for count, want := range map[int]int{50: 50, 51: 50} {
		var tags []string
		for i := range count {
			tags = append(tags, fmt.Sprintf(`"t%d":1`, i))
		}
		if got := tagsOf("{" + strings.Join(tags, ",") + "}"); got != want {
			t.Errorf("%d tags: %d", count, got)
		}
	}
	for length, want := range map[int]int{32: 1, 33: 0} {
		if got := tagsOf(`{"` + strings.Repeat("x", length) + `":1}`); got != want {
			t.Errorf("a name of %d: %d", length, got)
		}
	}
	for rate, want := range map[string]int{"0": 0, "1": 0, "1.01": 1, "-0.01": 1} {
		if _, warnings, _ := load(t, map[string]string{"SENTRY_DSN": "https://k@host/1", "CRASH_REPORTER_SAMPLE_RATE": rate}); len(warnings) != want {
			t.Errorf("a rate of %s: %v", rate, warnings)
		}
	}
	for name, most := range map[string]int{"SENTRY_ENVIRONMENT": 64, "SENTRY_RELEASE": 200} {
		for length, want := range map[int]int{most: 0, most + 1: 1} {
			if _, warnings, _ := load(t, map[string]string{"SENTRY_DSN": "https://k@host/1", name: strings.Repeat("x", length)}); len(warnings) != want {
				t.Errorf("%s of %d: %v", name, length, warnings)
			}
		}
	}
	for text, want := range map[string]int{"1": 0, "0": 1, "9": 0, "10": 1} {
		warned := 0
		integer(func(string) string { return text }, "N", 5, 1, 9, func(string, string) { warned++ })
		if warned != want {
			t.Errorf("%s of 1 to 9: warned %d times", text, warned)
		}
	}
}
