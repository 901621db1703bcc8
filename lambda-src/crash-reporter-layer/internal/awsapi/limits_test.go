package awsapi

import (
	"strings"
	"testing"
)

// Each limit from both sides: nobody would see it change otherwise.
func TestLimits(t *testing.T) {
	for length, want := range map[int]bool{100: true, 101: false} {
		code := strings.Repeat("C", length)
		if got := strings.Contains(errorCode([]byte(`{"__type":"`+code+`"}`)), code); got != want {
			t.Errorf("a code of %d: %v", length, got)
		}
	}
}
