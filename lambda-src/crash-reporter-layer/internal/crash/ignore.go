package crash

import "strings"

// IgnoreRule names crashes that are counted and not sent. Both texts must match
// where both are given; a * at an end stands for anything.
type IgnoreRule struct {
	Type    string
	Message string
}

// Matches says whether a crash is one of those.
func (rule IgnoreRule) Matches(r Report) bool {
	return rule != (IgnoreRule{}) && matches(rule.Type, r.Type) && matches(rule.Message, r.Value)
}

func matches(pattern, text string) bool {
	if pattern == "" {
		return true
	}
	rest, open := strings.CutPrefix(pattern, "*")
	middle, until := strings.CutSuffix(rest, "*")
	switch {
	case open && until:
		return strings.Contains(text, middle)
	case open:
		return strings.HasSuffix(text, rest)
	case until:
		return strings.HasPrefix(text, middle)
	}
	return text == pattern
}
