package wire

import (
	"fmt"
	"sort"
	"strconv"
	"unicode/utf8"
)

// Marshal writes a value made of maps, lists and scalars. Names are sorted, so
// that the same value is the same text. It panics for any other type: what is
// written is known when it is compiled.
func Marshal(value any) []byte { return appendValue(nil, value) }

func appendValue(b []byte, value any) []byte {
	switch v := value.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case string:
		return appendText(b, v)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case float64:
		if v != v || v > 1e300 || v < -1e300 { // no JSON
			return append(b, '0')
		}
		return strconv.AppendFloat(b, v, 'f', -1, 64)
	case map[string]any:
		return appendMap(b, v)
	case map[string]string:
		return appendMap(b, v)
	case map[string]int:
		return appendMap(b, v)
	case []any:
		return appendList(b, v)
	case []string:
		return appendList(b, v)
	case [][]string:
		return appendList(b, v)
	}
	panic(fmt.Sprintf("wire: a %T cannot be written", value))
}

func appendMap[T any](b []byte, m map[string]T) []byte {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	b = append(b, '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, name), ':')
		b = appendValue(b, m[name])
	}
	return append(b, '}')
}

func appendList[T any](b []byte, list []T) []byte {
	b = append(b, '[')
	for i, value := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendValue(b, value)
	}
	return append(b, ']')
}

func appendText(b []byte, text string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, size := utf8.DecodeRuneInString(text[i:])
			b = utf8.AppendRune(b, r) // what is not UTF-8 becomes U+FFFD
			i += size
			continue
		}
		i++
	}
	return append(b, '"')
}
