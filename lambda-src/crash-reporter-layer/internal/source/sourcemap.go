package source

import (
	"bufio"
	"bytes"
	"io"
	"strings"

	"cdk-serverless-blocks/crash-reporter/internal/wire"
)

const (
	bufferSize = 64 << 10
	// maxName is the longest path or name of a map that is read.
	maxName = 1 << 10
	// contextLines are shown before and after a line, each of at most maxContext bytes.
	contextLines = 5
	maxContext   = 256
)

// lines is a line of the author's and those around it.
type lines struct {
	pre, post []string
	line      string
}

// mapped is a place in the author's code.
type mapped struct {
	file      string
	line, col int // from 1
	name      string
	lines     *lines
}

// opener opens the map anew: it is read twice, because what says where a source
// begins may come after it. Only what is asked for is ever held in memory.
type opener func() (io.ReadCloser, error)

// resolve looks positions up in a map. What is not mapped is nil.
func resolve(open opener, positions []*position) ([]*mapped, error) {
	root := ""
	hasSections, hasMappings := false, false
	err := members(open, func(key string, r *bufio.Reader) error {
		switch key {
		case "mappings":
			hasMappings = true
			if c, err := nextByte(r); err != nil || c != '"' {
				return errMap
			}
			return decode(r, positions)
		case "sourceRoot":
			text, err := shortString(r)
			root = text
			return err
		case "sections":
			hasSections = true
		}
		return skipValue(r, 0)
	})
	if err != nil {
		return nil, err
	}
	if hasSections || !hasMappings {
		return nil, errMap
	}
	sources, names, contents := map[int]string{}, map[int]string{}, map[int][]*position{}
	any := false
	for _, p := range positions {
		if p.found {
			any = true
			sources[p.source] = ""
			contents[p.source] = append(contents[p.source], p)
			if p.name >= 0 {
				names[p.name] = ""
			}
		}
	}
	out := make([]*mapped, len(positions))
	if !any {
		return out, nil
	}
	around := map[*position]*lines{}
	err = members(open, func(key string, r *bufio.Reader) error {
		switch key {
		case "sources":
			return elements(r, func(i int) error { return want(r, sources, i) })
		case "names":
			return elements(r, func(i int) error { return want(r, names, i) })
		case "sourcesContent":
			return elements(r, func(i int) error {
				if len(contents[i]) == 0 {
					return skipValue(r, 0)
				}
				return excerpt(r, contents[i], around)
			})
		}
		return skipValue(r, 0)
	})
	if err != nil {
		return nil, err
	}
	for i, p := range positions {
		if file := sourcePath(root, sources[p.source]); p.found && file != "" {
			out[i] = &mapped{file: file, line: p.row + 1, col: p.col + 1, name: names[p.name], lines: around[p]}
		}
	}
	return out, nil
}

// sourcePath is a source's name as the author knows it: from the root of the project.
func sourcePath(root, source string) string {
	if source == "" {
		return ""
	}
	if root != "" && !strings.HasPrefix(source, "/") && !strings.Contains(source, "://") {
		source = strings.TrimSuffix(root, "/") + "/" + source
	}
	source = strings.TrimPrefix(source, "file://")
	if rest, ok := strings.CutPrefix(source, "webpack://"); ok {
		_, source, _ = strings.Cut(rest, "/") // the name of the build stands first
	}
	for {
		rest, up := strings.CutPrefix(source, "../")
		rest, here := strings.CutPrefix(rest, "./")
		if source = rest; !up && !here {
			return source
		}
	}
}

// members reads the object at the top of a map; each is called with the reader in front of a member's value.
func members(open opener, each func(key string, r *bufio.Reader) error) error {
	file, err := open()
	if err != nil {
		return err
	}
	defer file.Close()
	r := bufio.NewReaderSize(file, bufferSize)
	if head, _ := r.Peek(3); bytes.Equal(head, []byte("\xef\xbb\xbf")) {
		_, _ = r.Discard(3)
	}
	if head, _ := r.Peek(4); bytes.HasPrefix(head, []byte(")]}'")) { // some servers put it in front
		if _, err := r.ReadSlice('\n'); err != nil {
			return errMap
		}
	}
	if c, err := nextByte(r); err != nil || c != '{' {
		return errMap
	}
	for {
		c, err := nextByte(r)
		switch {
		case err != nil:
			return unexpected(err)
		case c == '}':
			return nil
		case c == ',':
			continue
		case c != '"':
			return errMap
		}
		_ = r.UnreadByte()
		key, err := shortString(r)
		if err != nil {
			return err
		}
		if c, err := nextByte(r); err != nil || c != ':' {
			return errMap
		}
		if err := each(key, r); err != nil {
			return unexpected(err)
		}
	}
}

// elements reads an array; each is called with the reader in front of an element.
func elements(r *bufio.Reader, each func(i int) error) error {
	if c, err := nextByte(r); err != nil || c != '[' {
		return errMap
	}
	for i := 0; ; {
		c, err := nextByte(r)
		switch {
		case err != nil:
			return unexpected(err)
		case c == ']':
			return nil
		case c == ',':
			continue
		}
		_ = r.UnreadByte()
		if err := each(i); err != nil {
			return err
		}
		i++
	}
}

func want(r *bufio.Reader, texts map[int]string, i int) error {
	if _, wanted := texts[i]; !wanted {
		return skipValue(r, 0)
	}
	text, err := shortString(r)
	texts[i] = text
	return err
}

const maxDepth = 16

func skipValue(r *bufio.Reader, depth int) error {
	c, err := nextByte(r)
	switch {
	case err != nil:
		return unexpected(err)
	case c == '"':
		return skipString(r)
	case c == '[' || c == '{':
		if depth >= maxDepth {
			return errMap
		}
		for {
			c, err := nextByte(r)
			switch {
			case err != nil:
				return unexpected(err)
			case c == ']' || c == '}':
				return nil
			case c == ',' || c == ':':
				continue
			}
			_ = r.UnreadByte()
			if err := skipValue(r, depth+1); err != nil {
				return err
			}
		}
	}
	for { // a number or a word
		c, err := r.ReadByte()
		if err != nil {
			return unexpected(err)
		}
		if strings.IndexByte(",]} \n\r\t", c) >= 0 {
			return r.UnreadByte()
		}
	}
}

func nextByte(r *bufio.Reader) (byte, error) {
	for {
		c, err := r.ReadByte()
		if err != nil || (c != ' ' && c != '\n' && c != '\r' && c != '\t') {
			return c, err
		}
	}
}

// shortString reads a string that may be null, and must not be long.
func shortString(r *bufio.Reader) (string, error) {
	c, err := nextByte(r)
	if err != nil {
		return "", unexpected(err)
	}
	if c != '"' {
		_ = r.UnreadByte()
		return "", skipValue(r, 0)
	}
	raw := []byte{'"'}
	for escaped := false; ; {
		c, err := r.ReadByte()
		if err != nil {
			return "", unexpected(err)
		}
		raw = append(raw, c)
		if c == '"' && !escaped {
			break
		}
		escaped = c == '\\' && !escaped
		if len(raw) > maxName {
			return "", errMap
		}
	}
	text, ok := wire.Text(raw)
	if !ok {
		return "", errMap
	}
	return text, nil
}

// excerpt reads the text of a source and keeps the lines around positions.
func excerpt(r *bufio.Reader, wanted []*position, around map[*position]*lines) error {
	c, err := nextByte(r)
	if err != nil {
		return unexpected(err)
	}
	if c != '"' { // null: the map has no text of this source
		_ = r.UnreadByte()
		return skipValue(r, 0)
	}
	text := &jsonText{r: r}
	err = collect(text.next, func(row int) []*lines {
		var list []*lines
		for _, p := range wanted {
			if distance := row - p.row; distance >= -contextLines && distance <= contextLines {
				if around[p] == nil {
					around[p] = &lines{}
				}
				list = append(list, around[p])
			} else {
				list = append(list, nil)
			}
		}
		return list
	}, func(i, row int) int { return row - wanted[i].row })
	return err
}

// collect splits a text into lines and puts each where it belongs.
func collect(next func() (byte, error), at func(row int) []*lines, distance func(i, row int) int) error {
	var line []byte
	for row := 0; ; row++ {
		places := at(row)
		keep := false
		for _, place := range places {
			keep = keep || place != nil
		}
		line = line[:0]
		var err error
		for {
			var c byte
			if c, err = next(); err != nil || c == '\n' {
				break
			}
			if keep && len(line) <= maxContext {
				line = append(line, c)
			}
		}
		if keep && (err == nil || len(line) > 0) {
			text := clip(string(bytes.TrimSuffix(line, []byte("\r"))))
			for i, place := range places {
				if place == nil {
					continue
				}
				switch d := distance(i, row); {
				case d < 0:
					place.pre = append(place.pre, text)
				case d == 0:
					place.line = text
				default:
					place.post = append(place.post, text)
				}
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func clip(text string) string {
	if len(text) > maxContext {
		text = text[:maxContext]
	}
	return strings.ToValidUTF8(text, "")
}

// jsonText reads the bytes of a JSON string up to its closing quote, where it says EOF.
type jsonText struct {
	r     *bufio.Reader
	ended bool
	rest  []byte
}

func (t *jsonText) next() (byte, error) {
	if len(t.rest) > 0 {
		c := t.rest[0]
		t.rest = t.rest[1:]
		return c, nil
	}
	if t.ended {
		return 0, io.EOF
	}
	c, err := t.r.ReadByte()
	switch {
	case err != nil:
		return 0, unexpected(err)
	case c == '"':
		t.ended = true
		return 0, io.EOF
	case c != '\\':
		return c, nil
	}
	if c, err = t.r.ReadByte(); err != nil {
		return 0, unexpected(err)
	}
	if c != 'u' {
		if i := strings.IndexByte("nrtbf", c); i >= 0 {
			return "\n\r\t\b\f"[i], nil
		}
		return c, nil
	}
	raw := make([]byte, 0, 14)
	raw = append(raw, '"', '\\', 'u')
	for i := 0; i < 4; i++ {
		if c, err = t.r.ReadByte(); err != nil {
			return 0, unexpected(err)
		}
		raw = append(raw, c)
	}
	if raw[3]|0x20 == 'd' { // half of a pair
		if next, _ := t.r.Peek(6); len(next) == 6 && next[0] == '\\' && next[1] == 'u' {
			raw = append(raw, next...)
			_, _ = t.r.Discard(6)
		}
	}
	text := wire.String(append(raw, '"'))
	if text == "" {
		return 0, errMap
	}
	t.rest = []byte(text[1:])
	return text[0], nil
}
