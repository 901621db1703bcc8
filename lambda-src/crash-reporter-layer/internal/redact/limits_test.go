package redact

import (
	"strings"
	"testing"
)

// Each limit from both sides: otherwise nobody would see it change.
func TestLimits(t *testing.T) {
	const alphanumeric = "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hJ5kL7nP9rS1uV3"
	redacted := func(r *Redactor, text string, want bool) {
		t.Helper()
		if got := r.Text(text); strings.Contains(got, mark) != want {
			t.Errorf("%q: %q", text, got)
		}
	}
	r := New(nil, nil, nil)

	// A key has at most 64 characters, and eight spaces may follow its separator.
	redacted(r, " "+strings.Repeat("k", 56)+"password=hunter22", true)
	redacted(r, " "+strings.Repeat("k", 57)+"password=hunter22", false)
	redacted(r, "password="+strings.Repeat(" ", 8)+"hunter22", true)
	redacted(r, "password="+strings.Repeat(" ", 9)+"hunter22", false)
	redacted(r, "password"+strings.Repeat(" ", 8)+"=hunter22", true)
	redacted(r, "password"+strings.Repeat(" ", 9)+"=hunter22", false)
	for slashes, want := range map[int]bool{8: true, 9: false} {
		quote := strings.Repeat(`\`, slashes) + `"`
		redacted(r, "password="+quote+"hunter22"+quote, want)
	}
	redacted(r, "token: abc", true)
	redacted(r, "token: ab", false)
	redacted(r, "password=ééé", true)
	redacted(r, "password=\x7f\x7f\x7f", false)

	// What issuers begin tokens with, and how many characters follow at least.
	for _, form := range []struct {
		prefix string
		rest   int
		plain  bool
	}{
		{"sk_live_", 10, false}, {"sk_test_", 10, false}, {"rk_live_", 10, false}, {"whsec_", 16, false}, {"ghp_", 20, true}, {"gho_", 20, true},
		{"ghu_", 20, true}, {"ghs_", 20, true}, {"ghr_", 20, true}, {"github_pat_", 20, false}, {"glpat-", 16, false}, {"xoxb-", 10, false},
		{"xoxp-", 10, false}, {"xoxa-", 10, false}, {"npm_", 30, true}, {"SG.", 30, false}, {"AIza", 30, false},
	} {
		redacted(r, "is "+form.prefix+alphanumeric[:form.rest]+" now", true)
		redacted(r, "is "+form.prefix+alphanumeric[:form.rest-1]+" now", false)
		separated := "is " + form.prefix + alphanumeric[:form.rest/2] + "_" + alphanumeric[:form.rest-form.rest/2-1] + " now"
		redacted(r, separated, !form.plain)
	}

	// A card's number has 13 to 19 digits, begins with 3 to 6 and has a right check digit.
	for number, want := range map[string]bool{
		"4222222222222": true, "422222222222": false, "6304000000000000000": true, "63040000000000000003": false,
		"30000000000004": true, "2000000000000006": false, "6011000990139424": true, "7000000000000005": false,
		"3782 822463 10005": true, "3782 822463 10006": false, "4111-1111-1111-1111": true, "4111-1111-1111-1112": false,
	} {
		redacted(r, "card "+number+" was", want)
	}

	// A bearer's token has eight characters and a digit.
	redacted(r, "Bearer abcdefg8", true)
	redacted(r, "Bearer abcdef8", false)

	// A variable's value counts from eight characters on, one that the user named from four.
	redacted(New([]string{"MY_TOKEN=cleartxt"}, nil, nil), "it is cleartxt", true)
	redacted(New([]string{"MY_TOKEN=cleartx"}, nil, nil), "it is cleartx", false)
	redacted(New([]string{"PIN=4711"}, []string{"PIN"}, nil), "it is 4711", true)
	redacted(New([]string{"PIN=471"}, []string{"PIN"}, nil), "it is 471", false)
	redacted(New([]string{"MY_TOKEN=cleartxt"}, nil, nil), "it is cleart...", true)
	redacted(New([]string{"MY_TOKEN=cleartxt"}, nil, nil), "it is clear...", false)
	added := New(nil, nil, nil)
	added.Add("cleartxt")
	added.Add("cleartx")
	redacted(added, "it is cleartxt", true)
	redacted(added, "it is cleartx.", false)

	// A value of a …_KEY looks random from 16 characters on, with a digit and a letter, and 3 bits a character.
	for value, want := range map[string]bool{"a1b2c3d4e5f6g7h8": true, "a1b2c3d4e5f6g7h": false, "abcdefghijklmnop": false, "1234567890123456": false, "a1a1a1a1b2b2b2b2": false, "a1b2c3d4a1b2c3d4": true, "A1B2C3D4E5F6G7H8": true} {
		redacted(New([]string{"SIGN_KEY=" + value}, nil, nil), "it is "+value, want)
	}

	// One letter is enough, and it may be the first or the last of its alphabet.
	for _, letter := range []string{"A", "Z", "a", "z"} {
		redacted(New([]string{"SIGN_KEY=" + letter + "12345678901234"}, nil, nil), "it is "+letter+"12345678901234", false)
		redacted(New([]string{"SIGN_KEY=" + letter + "123456789012345"}, nil, nil), "it is "+letter+"123456789012345", true)
	}

	// Twenty digits are no card, whatever their check digit says.
	redacted(r, "card 63040000000000000000 was", false)

	// A token of three parts has twelve characters and four.
	redacted(r, "eyJhbGciOiJI.abcd.ef", true)
	redacted(r, "eyJhbGciOiJ.abcd.ef", false)
	redacted(r, "eyJhbGciOiJI.abc.ef", false)

	// The kind of a key stands within the 64 characters that it begins with.
	for filler, want := range map[int]bool{37: true, 38: false} {
		redacted(r, "-----BEGIN "+strings.Repeat("X", filler)+"PRIVATE KEY-----\nMIIB\n", want)
	}
}

// A text may begin and end anywhere, also in the middle of a secret; and what is redacted stays as it is.
func TestATextMayEndAnywhere(t *testing.T) {
	r := New([]string{"MY_TOKEN=cleartxt"}, nil, nil)
	for _, text := range []string{
		`{"password" : "hunter22", 'token'=> 'hunter22x'} apiKey==hunter33x secret: {"a": ["hunter44x"]}`, `\"password\":\"hunter22\"`,
		"Authorization: Bearer abcdefg8 and eyJhbGciOiJI.abcd.ef and https://user:hunter22@host/path?x=1",
		"4111-1111-1111-1111 and 3782 822463 10005 and cleartxt and AKIAABCDEFGHIJKLMNOP",
		"-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY----- after", "Cookie: a=b; c=d\r\nnext: line",
	} {
		for end := range text {
			for _, cut := range []string{text[:end], text[end:]} {
				once := r.Text(cut)
				if twice := r.Text(once); twice != once {
					t.Errorf("%q: %q and then %q", cut, once, twice)
				}
			}
		}
	}
}
