// Package redact takes secrets out of free text: what an error says, what was
// logged, lines of code. It is not for structure: a function's name, a file, an
// environment or a fingerprint means nothing once a part of it is gone.
package redact

import (
	"sort"
	"strings"
	"sync"
)

const mark = "[redacted]"

// clipped is the ending of a text that was cut to a limit.
const clipped = "..."

// minCut is how many bytes of a known secret at the end of a cut text are taken for its beginning.
const minCut = 6

// Redactor removes secrets from texts.
type Redactor struct {
	mu       sync.Mutex
	values   []string // the longest first, so that a secret that contains another goes whole
	replacer *strings.Replacer
	keys     []string // canonical names the user gave; what follows one is secret
}

// New knows the values of environment variables whose names say that they are
// secret, and those the user names. environ is as from os.Environ; structural
// are values that events are made of and that are never secret.
func New(environ, names, structural []string) *Redactor {
	r := &Redactor{}
	listed := map[string]bool{}
	for _, name := range names {
		if name = strings.TrimSpace(name); name != "" {
			listed[name] = true
			r.keys = append(r.keys, canonical(name))
		}
	}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if listed[name] && len(value) >= minListed || secretVariable(name, value) && !contains(structural, value) {
			r.values = append(r.values, value)
		}
	}
	r.sort()
	return r
}

// Add makes another value a secret.
func (r *Redactor) Add(value string) {
	if len(value) < minValue || contains(r.values, value) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.values = append(r.values, value)
	r.sort()
}

func (r *Redactor) sort() {
	sort.Slice(r.values, func(i, j int) bool { return len(r.values[i]) > len(r.values[j]) })
	r.replacer = nil
}

// Text returns a text without secrets: known values, what follows a key such as
// password, and what has the form of a secret.
func (r *Redactor) Text(s string) string { return r.scan(r.known(s), false) }

// Code is Text for a line of source code. A name that follows a key there is
// another name, so only what stands in quotes goes.
func (r *Redactor) Code(s string) string { return r.scan(r.known(s), true) }

// Named is Text for the value of a property, whose name may say that it is secret.
func (r *Redactor) Named(name, value string) string {
	head := name + `="`
	if text, ok := strings.CutPrefix(r.Text(head+value+`"`), head); ok {
		return strings.TrimSuffix(text, `"`)
	}
	return r.Text(value)
}

func (r *Redactor) known(s string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.values) == 0 {
		return s
	}
	if r.replacer == nil {
		pairs := make([]string, 0, 2*len(r.values))
		for _, value := range r.values {
			pairs = append(pairs, value, mark)
		}
		r.replacer = strings.NewReplacer(pairs...)
	}
	s = r.replacer.Replace(s)
	if cut, ok := strings.CutSuffix(s, clipped); ok {
		return r.withoutBeginning(cut) + clipped
	}
	return s
}

// withoutBeginning takes out a known secret whose end was cut off with the text's.
func (r *Redactor) withoutBeginning(s string) string {
	for _, value := range r.values {
		for n := min(len(value)-1, len(s)); n >= minCut; n-- {
			if strings.HasSuffix(s, value[:n]) {
				return s[:len(s)-n] + mark
			}
		}
	}
	return s
}

// scan reads the text once, from left to right. Every byte is looked at a
// bounded number of times, whoever wrote it.
func (r *Redactor) scan(s string, code bool) string {
	var out strings.Builder
	kept := 0 // what of s is in out
	take := func(start, end int) {
		out.WriteString(s[kept:start])
		out.WriteString(mark)
		kept = end
	}
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == ':' || c == '=':
			if start, end, ok := userinfo(s, i); ok {
				take(start, end)
				i = end
				continue
			}
			if start, end, ok := r.assigned(s, kept, i, code); ok {
				take(start, end)
				i = end
				continue
			}
			i++
		case isWord(c) && (i == 0 || !isWord(s[i-1])):
			end := wordEnd(s, i)
			start, until := secretWord(s, i, end)
			if until > 0 {
				take(start, until)
				end = max(end, until)
			}
			i = end
		case c == '-':
			if until := privateKey(s, i); until > 0 {
				take(i, until)
				i = until
				continue
			}
			i++
		default:
			i++
		}
	}
	if kept == 0 {
		return s
	}
	out.WriteString(s[kept:])
	return out.String()
}

func contains(list []string, value string) bool {
	for _, v := range list {
		if v == value {
			return true
		}
	}
	return false
}
