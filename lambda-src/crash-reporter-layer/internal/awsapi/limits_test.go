package awsapi

import (
	"net/url"
	"strings"
	"testing"
	"time"
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

func TestNoPathIsSignedAsTheRoot(t *testing.T) {
	signature := func(target string) string {
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		return sign(Credentials{AccessKeyID: "A", SecretAccessKey: "S"}, "POST", u, map[string]string{"Host": u.Host}, nil, "r", "s", time.Unix(0, 0))["Authorization"]
	}
	if signature("https://h") != signature("https://h/") || signature("https://h/a") == signature("https://h/b") {
		t.Error("the path is not signed as it is sent")
	}
}
