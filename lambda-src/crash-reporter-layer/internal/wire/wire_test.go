package wire

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

var texts = []string{`{}`, `[]`, `null`, `true`, ` {"a":1,"b":[1,2,{"c":"d"}],"a":2} `, `"\u00e9\ud83c\udf82\ud83c x \n\"\\\/"`, `"\ud83c\u0041"`, `-0`, `01`, `1.`, `1.5e+3`, `1e`, `[1,]`, `{"a":}`, `{"a" : "b" , "c":null}`,
	`{"a":1}x`, `"` + "\x01" + `"`, "\"\xff\"", `tru`, `[[[[]]]]`, `{1:2}`, `"\u12g4"`, `"\u+123"`, ``, ` `, `"`, `{"a`, `[1 2]`, "\t[\r\n1 ]", `-`, `"\x"`, `1e400`}

// The judge is the standard library.
func same(t *testing.T, text string) {
	t.Helper()
	raw := []byte(text)
	if strings.Count(text, "[")+strings.Count(text, "{") > 400 {
		return // deeper than is read here
	}
	var want any
	err := json.Unmarshal(raw, &want)
	if numberOutOfRange(err) {
		return
	}
	got, ok := Parse(raw)
	if ok != (err == nil) || Valid(raw) != json.Valid(raw) {
		t.Fatalf("%q: read %v, want %v", text, ok, err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%q: %#v, want %#v", text, got, want)
	}
	if !ok {
		return
	}
	var again any
	if err := json.Unmarshal(Marshal(got), &again); err != nil || !reflect.DeepEqual(again, want) {
		t.Fatalf("%q was written as %s: %v", text, Marshal(got), err)
	}
}

func numberOutOfRange(err error) bool {
	return err != nil && strings.Contains(err.Error(), "cannot unmarshal number")
}

func TestWhatIsReadAndWrittenIsWhatTheStandardLibraryDoes(t *testing.T) {
	for _, text := range texts {
		same(t, text)
	}
}

func TestDepthIsLimited(t *testing.T) {
	if deep := []byte(strings.Repeat("[", 1<<20)); Valid(deep) || Valid([]byte(strings.Repeat("[", 600)+strings.Repeat("]", 600))) {
		t.Error("read")
	}
}

func FuzzWire(f *testing.F) {
	for _, text := range texts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		same(t, text)
		Object([]byte(text))
		Array([]byte(text))
		Prefix([]byte(text))
	})
}
