package redact

import "strings"

const (
	maxKey = 64
	// maxGap is how many quotes, backslashes and spaces may stand between a key and its separator, or after it.
	maxGap = 8
)

// secretKeys end a key whose value is secret, without case and separators.
var secretKeys = []string{"password", "passwd", "passphrase", "pwd", "secret", "token", "apikey", "accesskey", "privatekey",
	"credential", "credentials", "auth", "sessionid", "signature"}

// lineKeys end a key whose value is the rest of the line.
var lineKeys = []string{"authorization", "cookie"}

// codeWords are values that code and sentences have after such a key.
var codeWords = map[string]bool{}

func init() {
	for _, word := range strings.Fields(`undefined null none nil true false nan object string number function promise class
		expired expected unexpected invalid missing required empty unknown denied failed failure wrong incorrect bad not no must is was
		are has have had should cannot can could did does do may might will would the a an this that it error connection timeout
		unable unauthorized forbidden revoked disabled malformed mismatch too only please enter at in of for from with by and or`) {
		codeWords[word] = true
	}
}

// assigned finds the value that belongs to a secret key in front of the
// separator at i: key=value, "key": "value", \"key\":\"value\". The key must
// not begin before from: what has been redacted already names nothing.
func (r *Redactor) assigned(s string, from, i int, code bool) (start, end int, ok bool) {
	key := keyBefore(s, from, i)
	if key == "" {
		return 0, 0, false
	}
	name := canonical(key)
	line, listed := hasAnySuffix(name, lineKeys), hasAnySuffix(name, r.keys)
	if !line && !listed && !hasAnySuffix(name, secretKeys) {
		return 0, 0, false
	}
	at := i + 1
	if at < len(s) && (s[at] == '>' || s[at] == '=' || s[at] == ':') { // =>, ==, ::
		at++
	}
	gap := at
	for at < len(s) && at-gap < maxGap && s[at] == ' ' {
		at++
	}
	// What the value begins with is judged before its end is looked for: otherwise
	// a text of nothing but harmless beginnings would be read over and over.
	open := quoteAt(s, at)
	if code && open < 0 {
		return 0, 0, false
	}
	first := s[max(at, open+1):min(len(s), max(at, open+1)+maxKey)]
	if strings.HasPrefix(first, mark) || (!listed && (harmless(first) || name == "pwd" && strings.HasPrefix(first, "/"))) {
		return 0, 0, false
	}
	start, end = value(s, at, open, line)
	text, quoted := s[start:end], open >= 0
	switch {
	case text == "":
		return 0, 0, false
	case listed || quoted:
		return start, end, true
	case len(text) < 3 && s[i] == ':' && key == name: // "Unexpected token: }"
		return 0, 0, false
	}
	return start, end, strings.IndexFunc(text, isLetterOrDigit) >= 0
}

// harmless says that a value begins with a word that code and sentences have
// there, or names where a secret is.
func harmless(first string) bool {
	end := strings.IndexAny(first, " .,;:!?\"'`\\)]}&\r\n")
	if end < 0 {
		end = len(first)
	}
	return codeWords[strings.ToLower(first[:end])] || strings.HasPrefix(first, "arn:")
}

// keyBefore is the word in front of a separator, over quotes and spaces.
func keyBefore(s string, from, i int) string {
	end := i
	for end > from && i-end < maxGap && strings.IndexByte("\"'`\\ ]", s[end-1]) >= 0 {
		end--
	}
	start := end
	for start > from && end-start <= maxKey && isKey(s[start-1]) {
		start--
	}
	if end-start > maxKey {
		return ""
	}
	return s[start:end]
}

// canonical is a key without case and separators.
func canonical(key string) string {
	var b strings.Builder
	for i := 0; i < len(key); i++ {
		switch c := key[i]; {
		case c >= 'A' && c <= 'Z':
			b.WriteByte(c | 0x20)
		case c != '_' && c != '-' && c != '.':
			b.WriteByte(c)
		}
	}
	return b.String()
}

// quoteAt is where the quote is that opens a value at at, with the backslashes
// that a text within a text has before it; -1 if there is none.
func quoteAt(s string, at int) int {
	open := at
	for open < len(s) && open-at < maxGap && s[open] == '\\' {
		open++
	}
	if open < len(s) && strings.IndexByte("\"'`", s[open]) >= 0 {
		return open
	}
	return -1
}

// value is what stands from at on: within quotes, within brackets, or up to a
// delimiter. An object is not a value: its own keys are looked at.
func value(s string, at, open int, line bool) (start, end int) {
	if open >= 0 {
		quote := s[at : open+1]
		start = open + 1
		if end = closing(s, start, quote); end >= 0 && (!line || endsValue(s, end+len(quote))) {
			return start, end
		}
		return start, lineEnd(s, start)
	}
	switch {
	case line:
		return at, lineEnd(s, at)
	case at < len(s) && s[at] == '{':
		return at, at
	case at < len(s) && s[at] == '[':
		end = at + 1
		for end < len(s) && s[end] != ']' && s[end] != '\n' {
			end++
		}
		return at + 1, end
	}
	end = at
	for end < len(s) && strings.IndexByte(" \t\r\n\"'`,;&{}()[]|<>\\", s[end]) < 0 {
		end++
	}
	return at, end
}

// closing finds the quote that ends a text; one with more backslashes before it is content.
func closing(s string, from int, quote string) int {
	slashes := 0
	for i := from; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			slashes++
			continue
		case c == '\n':
			return -1
		case c == quote[len(quote)-1] && slashes == len(quote)-1:
			return i - slashes
		}
		slashes = 0
	}
	return -1
}

// endsValue says that a quoted value is over: a quote within it is followed by more of it.
func endsValue(s string, at int) bool {
	return at >= len(s) || strings.IndexByte(",;)]}\\\r\n", s[at]) >= 0
}

func lineEnd(s string, from int) int {
	if n := strings.IndexAny(s[from:], "\r\n"); n >= 0 {
		return from + n
	}
	return len(s)
}

func isKey(c byte) bool { return isWord(c) || c == '-' || c == '.' }

func isLetterOrDigit(c rune) bool {
	return c > 127 || isWord(byte(c)) && c != '_'
}
