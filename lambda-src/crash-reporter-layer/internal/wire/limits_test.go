package wire

import (
	"strings"
	"testing"
)

// Each limit from both sides: otherwise nobody would see it change.
func TestLimits(t *testing.T) {
	for depth, want := range map[int]bool{512: true, 513: false} {
		// The innermost value is one deeper than its lists.
		if got := Valid([]byte(strings.Repeat("[", depth) + "1" + strings.Repeat("]", depth))); got != want {
			t.Errorf("%d lists: %v", depth, got)
		}
	}
	for text, want := range map[string]int{
		"9007199254740992": 1 << 53, "9007199254740994": 0, "-9007199254740992": -(1 << 53), "-9007199254740994": 0,
	} {
		if got := Int([]byte(text)); got != want {
			t.Errorf("%s: %d", text, got)
		}
	}
	for _, sign := range []float64{1, -1} {
		if got := string(Marshal(sign * 1e300)); len(got) < 300 {
			t.Errorf("%v: %s", sign, got)
		}
		if got := string(Marshal(sign * 1.1e300)); got != "0" {
			t.Errorf("%v: %s", sign, got)
		}
	}
	if got := string(Marshal("\x1f \x7f\u0080")); got != `"\u001f \u007f`+"\u0080\"" {
		t.Errorf("%s", got)
	}
}
