package redact

import "strings"

// tokenForms are what issuers begin their tokens with, and how many characters follow at least.
var tokenForms = []struct {
	prefix string
	rest   int
	// plain: letters and digits only, because the prefix also begins ordinary names.
	plain bool
}{
	{"sk_live_", 10, false}, {"sk_test_", 10, false}, {"rk_live_", 10, false}, {"whsec_", 16, false},
	{"ghp_", 20, true}, {"gho_", 20, true}, {"ghu_", 20, true}, {"ghs_", 20, true}, {"ghr_", 20, true}, {"github_pat_", 20, false},
	{"glpat-", 16, false}, {"xoxb-", 10, false}, {"xoxp-", 10, false}, {"xoxa-", 10, false}, {"npm_", 30, true}, {"SG.", 30, false}, {"AIza", 30, false},
}

// secretWord says which part of the text from a word on is a secret by its form; until is 0 if none is.
func secretWord(s string, start, end int) (from, until int) {
	word := s[start:end]
	switch {
	case isDigit(word[0]):
		if n := cardNumber(s, start); n > 0 {
			return start, n
		}
	case strings.HasPrefix(word, "eyJ"):
		if n := jwt(s, start); n > 0 {
			return start, n
		}
	case len(word) == 20 && (strings.HasPrefix(word, "AKIA") || strings.HasPrefix(word, "ASIA")) && strings.Trim(word[4:], "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == "":
		return start, end
	case strings.EqualFold(word, "bearer") && end < len(s) && s[end] == ' ':
		token := span(s, end+1, isToken)
		if n := token - end - 1; n >= 8 && strings.ContainsAny(s[end+1:token], "0123456789") && !strings.HasPrefix(s[end+1:], mark) {
			return end + 1, token
		}
	}
	for _, form := range tokenForms {
		if !strings.HasPrefix(s[start:], form.prefix) {
			continue
		}
		body := start + len(form.prefix)
		allowed := isBase64URL
		if form.plain {
			allowed = isAlphanumeric
		}
		if n := span(s, body, allowed); n-body >= form.rest {
			return start, n
		}
	}
	return 0, 0
}

// jwt is a JSON Web Token: three parts, the first of which begins an object.
func jwt(s string, start int) (end int) {
	if start > 0 && s[start-1] == '-' {
		return 0 // a part of what was looked at before
	}
	header := span(s, start, isBase64URLWithoutDot)
	if header-start < 12 || header >= len(s) || s[header] != '.' {
		return 0
	}
	payload := span(s, header+1, isBase64URLWithoutDot)
	if payload-header < 5 || payload >= len(s) || s[payload] != '.' {
		return 0
	}
	return span(s, payload+1, isBase64URLWithoutDot)
}

// privateKey is the end of a PEM block that begins at i; without an END line it is the text's.
func privateKey(s string, i int) (end int) {
	const begin, kind, mostOfHead = "-----BEGIN ", "PRIVATE KEY-----", 64
	if !strings.HasPrefix(s[i:], begin) || !strings.Contains(s[i:min(len(s), i+mostOfHead)], kind) {
		return 0
	}
	at := strings.Index(s[i:], "-----END ")
	if at < 0 {
		return len(s)
	}
	foot := i + at + len("-----END ")
	if n := strings.Index(s[foot:min(len(s), foot+mostOfHead)], "-----"); n >= 0 {
		return foot + n + len("-----")
	}
	return foot
}

// userinfo is the password of a URL whose :// is at i.
func userinfo(s string, i int) (start, end int, ok bool) {
	if !strings.HasPrefix(s[i:], "://") {
		return 0, 0, false
	}
	const mostOfAuthority = 1024
	authority := i + 3
	stop := authority
	for stop < len(s) && stop-authority < mostOfAuthority && strings.IndexByte("/?# \t\r\n\"'`<>", s[stop]) < 0 {
		stop++
	}
	host := strings.LastIndexByte(s[authority:stop], '@')
	if host < 0 {
		return 0, 0, false
	}
	colon := strings.IndexByte(s[authority:authority+host], ':')
	if colon < 0 || s[authority+colon+1:authority+host] == mark {
		return 0, 0, false
	}
	return authority + colon + 1, authority + host, true
}

// cardNumber is the end of a payment card's number that begins at start: 13 to
// 19 digits that begin with 3 to 6 and whose check digit is right, in one piece
// or in the groups in which they are printed.
func cardNumber(s string, start int) (end int) {
	if s[start] < '3' || s[start] > '6' || (start > 0 && strings.IndexByte("+-._/", s[start-1]) >= 0) {
		return 0
	}
	first := span(s, start, isDigit)
	if n := first - start; n >= 13 && n <= 19 {
		if luhn(s[start:first]) && !continuesWord(s, first) {
			return first
		}
		return 0
	}
	for _, groups := range [][]int{{4, 4, 4, 4}, {4, 6, 5}} {
		at, ok := start, true
		for n, size := range groups {
			if n > 0 {
				if at >= len(s) || (s[at] != ' ' && s[at] != '-') {
					ok = false
					break
				}
				at++
			}
			if span(s, at, isDigit)-at != size {
				ok = false
				break
			}
			at += size
		}
		if ok && luhn(s[start:at]) && !continuesWord(s, at) {
			return at
		}
	}
	return 0
}

// continuesWord tells a number from the beginning of an id.
func continuesWord(s string, at int) bool { return at < len(s) && (isWord(s[at]) || s[at] == '-') }

func luhn(number string) bool {
	sum, double := 0, false
	for i := len(number) - 1; i >= 0; i-- {
		if !isDigit(number[i]) {
			continue
		}
		n := int(number[i] - '0')
		if double {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum, double = sum+n, !double
	}
	return sum%10 == 0
}

func span(s string, from int, in func(byte) bool) (end int) {
	for end = from; end < len(s) && in(s[end]); end++ {
	}
	return end
}

func wordEnd(s string, from int) int { return span(s, from, isWord) }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isAlphanumeric(c byte) bool {
	return isDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
}

func isWord(c byte) bool { return isAlphanumeric(c) || c == '_' }

func isBase64URLWithoutDot(c byte) bool { return isWord(c) || c == '-' }

func isBase64URL(c byte) bool { return isBase64URLWithoutDot(c) || c == '.' }

func isToken(c byte) bool { return isBase64URL(c) || c == '~' || c == '+' || c == '/' || c == '=' }
