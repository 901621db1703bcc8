package telemetry

import "bytes"

// maxElement bounds the memory for one event. Lambda's buffer is 256 KiB, so
// only a record that Lambda cuts anyway can be larger.
const maxElement = 260 << 10

// maxNesting bounds the depth of one event; deeper is treated as broken.
const maxNesting = 256

// eventStart begins every event. Inside a JSON string the quotes would be
// escaped, so these bytes always are structure, never content.
var eventStart = []byte(`{"time":"`)

// splitter takes a batch (a JSON array of events) in pieces and emits those
// of its elements that are objects, holding one element at a time. When the text is not JSON it
// goes on at the next thing that looks like the start of an event: Lambda itself
// sends invalid JSON when it cuts a large record in two.
type splitter struct {
	emit    func(element []byte)
	element []byte // the element being read, at most maxElement bytes
	over    bool   // the element is larger than that
	stack   []byte // open brackets, the batch's own included
	state   state
	word    string // the rest of a literal such as true
	broken  bool   // looking for the next eventStart
	match   int    // bytes of eventStart seen while broken
	replay  bool   // reading bytes again that element already holds
}

type state uint8

const (
	wantValue state = iota
	wantValueOrEnd
	wantKey
	wantKeyOrEnd
	wantColon
	wantCommaOrEnd
	inString
	inKey
	inStringEscape
	inKeyEscape
	inNumber
	inWord
	finished
)

func (s *splitter) write(p []byte) {
	for len(p) > 0 {
		if s.broken {
			p = s.resync(p)
			continue
		}
		if s.state == inString || s.state == inKey {
			n := bytes.IndexAny(p, `"\`)
			if n < 0 {
				n = len(p)
			}
			if n > 0 {
				s.keep(p[:n]...)
				p = p[n:]
				continue
			}
		}
		c := p[0]
		p = p[1:]
		s.keep(c)
		if !s.step(c) {
			s.broke()
		}
	}
}

// rest returns what was read of an element that never ended, if all of it is
// here: it may be the first half of a record that Lambda cut.
func (s *splitter) rest() []byte {
	if s.over {
		return nil
	}
	return s.element
}

func (s *splitter) keep(p ...byte) {
	if len(s.stack) < 2 && !(len(s.stack) == 1 && (p[0] == '{' || p[0] == '[') && (s.state == wantValue || s.state == wantValueOrEnd)) {
		return // between elements
	}
	if s.over || len(s.element)+len(p) > maxElement {
		s.over = true
		return
	}
	s.element = append(s.element, p...)
}

func (s *splitter) broke() {
	s.broken, s.match = true, 0
	// The start of the next event may already have been taken as part of this
	// one; it can only be in the last few bytes.
	tail := s.element
	if len(tail) > 64 {
		tail = tail[len(tail)-64:]
	}
	if len(tail) > 1 {
		s.replay = true
		s.write(append([]byte(nil), tail[1:]...))
		s.replay = false
	}
}

func (s *splitter) resync(p []byte) []byte {
	for i, c := range p {
		switch {
		case c == eventStart[s.match]:
			s.match++
		case c == eventStart[0]:
			s.match = 1
		default:
			s.match = 0
		}
		if s.match == len(eventStart) {
			s.broken, s.match, s.over = false, 0, false
			s.element = append(s.element[:0], eventStart...)
			s.stack = append(s.stack[:0], '[', '{')
			s.state = inString
			s.replay = false
			return p[i+1:]
		}
		// What follows a broken element may be its other half: keep it for rest.
		if !s.replay && !s.over && len(s.element) < maxElement {
			s.element = append(s.element, c)
		}
	}
	return nil
}

// step moves the machine by one byte outside plain string content. It reports
// false when the byte is not allowed there.
func (s *splitter) step(c byte) bool {
	switch s.state {
	case inStringEscape, inKeyEscape:
		s.state -= inStringEscape - inString
		return true
	case inString, inKey:
		if c == '\\' {
			s.state += inStringEscape - inString
		} else if s.state == inKey {
			s.state = wantColon
		} else {
			s.state = wantCommaOrEnd
		}
		return true
	case inNumber:
		if (c >= '0' && c <= '9') || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-' {
			return true
		}
		s.state = wantCommaOrEnd
	case inWord:
		if s.word != "" {
			ok := s.word[0] == c
			s.word = s.word[1:]
			return ok
		}
		s.state = wantCommaOrEnd
	}
	if c == ' ' || c == '\n' || c == '\t' || c == '\r' {
		return true
	}
	switch s.state {
	case wantKeyOrEnd, wantKey:
		if c == '}' && s.state == wantKeyOrEnd {
			return s.closed('{')
		}
		s.state = inKey
		return c == '"'
	case wantColon:
		s.state = wantValue
		return c == ':'
	case wantCommaOrEnd:
		return s.separator(c)
	case finished:
		return true
	}
	return s.value(c)
}

func (s *splitter) value(c byte) bool {
	if len(s.stack) == 0 && c != '[' {
		return false
	}
	switch c {
	case '[', '{':
		if len(s.stack) >= maxNesting {
			return false
		}
		s.stack = append(s.stack, c)
		if s.state = wantValueOrEnd; c == '{' {
			s.state = wantKeyOrEnd
		}
	case ']':
		return s.state == wantValueOrEnd && s.closed('[')
	case '"':
		s.state = inString
	case 't', 'f', 'n':
		s.state = inWord
		s.word = map[byte]string{'t': "rue", 'f': "alse", 'n': "ull"}[c]
	default:
		s.state = inNumber
		return c == '-' || (c >= '0' && c <= '9')
	}
	return true
}

func (s *splitter) separator(c byte) bool {
	switch c {
	case '}':
		return s.closed('{')
	case ']':
		return s.closed('[')
	case ',':
		s.state = wantKey
		if s.stack[len(s.stack)-1] == '[' {
			s.state = wantValue
		}
		return true
	}
	return false
}

func (s *splitter) closed(open byte) bool {
	last := len(s.stack) - 1
	if last < 0 || s.stack[last] != open {
		return false
	}
	s.stack = s.stack[:last]
	s.state = wantCommaOrEnd
	switch last {
	case 0:
		s.state = finished
		s.element = s.element[:0]
	case 1:
		if !s.over && len(s.element) > 0 && s.element[0] == '{' {
			s.emit(s.element)
		}
		s.element, s.over = s.element[:0], false
	}
	return true
}
