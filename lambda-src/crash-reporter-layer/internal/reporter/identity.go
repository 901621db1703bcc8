package reporter

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"

	"cdk-serverless-blocks/crash-reporter/internal/crash"
)

// sampled decides by the request, so that every process decides alike.
func (r *Reporter) sampled(report crash.Report) bool {
	if r.o.SampleRate >= 1 {
		return true
	}
	key := report.RequestID
	if key == "" {
		key = report.Environment.InstanceID + report.Time.String()
	}
	sum := sha256.Sum256([]byte(key))
	return float64(binary.BigEndian.Uint64(sum[:8]))/(1<<63)/2 < r.o.SampleRate
}

// fingerprintOf identifies equal crashes: the type, the message without numbers and
// ids, the innermost frame.
func fingerprintOf(function string, report crash.Report) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n", function, report.Type)
	if !report.Described {
		h.Write([]byte(withoutIDs(report.Value)))
	}
	if n := len(report.Exceptions); n > 0 {
		if frames := report.Exceptions[n-1].Frames; len(frames) > 0 {
			last := frames[len(frames)-1]
			fmt.Fprintf(h, "\n%s:%d:%s", last.Path, last.Line, last.Function)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// withoutIDs makes messages alike that differ in numbers and ids: a word with a
// digit in it becomes 0.
func withoutIDs(text string) string {
	words := strings.FieldsFunc(text, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) })
	for i, word := range words {
		if strings.ContainsAny(word, "0123456789") {
			words[i] = "0"
		}
	}
	return strings.Join(words, " ")
}

// newEventID is a random UUID without dashes, made only when a crash is sent:
// ids made before a SnapStart snapshot would repeat in every copy.
func newEventID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return hex.EncodeToString(b[:])
}
