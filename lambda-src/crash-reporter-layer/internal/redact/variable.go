package redact

import (
	"math"
	"strings"
)

const (
	// minValue: shorter values would also hit ordinary words.
	minValue = 8
	// minListed is for variables the user named.
	minListed = 4
	// A variable that only ends in _KEY may as well name a column.
	minKey        = 16
	minKeyEntropy = 3.0 // bits a character
)

var secretNames = []string{"SECRET", "TOKEN", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "APIKEY", "API_KEY", "ACCESS_KEY", "PRIVATE_KEY", "SIGNING_KEY", "ENCRYPTION_KEY"}

var secretEndings = []string{"_PWD", "_PASS", "_DSN", "_AUTH"}

// whereabouts end the names of variables that say where a secret is or what it is called, not what it is.
var whereabouts = []string{"_ARN", "_NAME", "_ID", "_URL", "_TABLE", "_TTL", "_PATH", "_ALIAS", "_FIELD"}

// secretVariable says that an environment variable holds a secret.
func secretVariable(name, value string) bool {
	name = strings.ToUpper(name)
	if len(value) < minValue || hasAnySuffix(name, whereabouts) {
		return false
	}
	for _, start := range []string{"arn:", "/", "alias/"} {
		if strings.HasPrefix(value, start) {
			return false
		}
	}
	for _, word := range secretNames {
		if strings.Contains(name, word) {
			return true
		}
	}
	return hasAnySuffix(name, secretEndings) || strings.HasSuffix(name, "_KEY") && looksRandom(value)
}

func hasAnySuffix(s string, suffixes []string) bool {
	for _, suffix := range suffixes {
		if strings.HasSuffix(s, suffix) {
			return true
		}
	}
	return false
}

func looksRandom(value string) bool {
	var count [256]int
	digit, upper, lower := false, false, false
	for i := 0; i < len(value); i++ {
		c := value[i]
		count[c]++
		digit = digit || isDigit(c)
		upper = upper || c >= 'A' && c <= 'Z'
		lower = lower || c >= 'a' && c <= 'z'
	}
	entropy := 0.0
	for _, n := range count {
		if n > 0 {
			p := float64(n) / float64(len(value))
			entropy -= p * math.Log2(p)
		}
	}
	return len(value) >= minKey && digit && (upper || lower) && entropy >= minKeyEntropy
}
