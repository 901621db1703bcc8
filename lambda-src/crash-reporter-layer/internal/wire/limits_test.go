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

func TestWhatIsCutOffIsNotValid(t *testing.T) {
	for _, text := range []string{"[", "{", `{"a"`, `{"a":`, `{"a":1,`, "[1", "[1,", `"\`, `"\u123`, `"\u+123"`, `"\u-123"`, `"\u1_23"`} {
		if Valid([]byte(text)) {
			t.Errorf("%s is valid", text)
		}
	}
	for text, want := range map[string]string{`"\b\f"`: "\b\f", `"\\"`: `\`, `"\ud83d\ude00"`: "\U0001F600", `"\ud83d"`: "\uFFFD", `"\ud83dx"`: "\uFFFDx"} {
		if got := String([]byte(text)); got != want {
			t.Errorf("%s: %q", text, got)
		}
	}
	if got := string(Marshal("\x80")); got != "\"\uFFFD\"" {
		t.Errorf("%q", got)
	}
}
