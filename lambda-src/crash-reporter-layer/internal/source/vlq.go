package source

import (
	"bufio"
	"errors"
	"io"
	"sort"
)

var errMap = errors.New("the source map cannot be read")

// position is a place in generated code, and what the map says of it.
type position struct {
	line, column int // from 1 as V8 has them; columns are UTF-16 units

	found  bool
	source int // an index into sources
	row    int // from 0
	col    int
	name   int // an index into names, -1 if there is none
}

const vlqDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

var vlqValue = func() (table [256]int8) {
	for i := range table {
		table[i] = -1
	}
	for i := 0; i < len(vlqDigits); i++ {
		table[vlqDigits[i]] = int8(i)
	}
	return table
}()

// decode reads the text of mappings up to its closing quote and finds what it
// says of positions: the last segment of their line that begins at or before
// them. Nothing but the current segment is kept.
func decode(r *bufio.Reader, positions []*position) error {
	wanted := append([]*position(nil), positions...)
	sort.Slice(wanted, func(i, j int) bool {
		return wanted[i].line < wanted[j].line || wanted[i].line == wanted[j].line && wanted[i].column < wanted[j].column
	})
	line := 1
	var column, source, row, col, name int64
	var fields [5]int64
	n := 0
	var value, shift uint64
	var last struct {
		valid, mapped             bool
		source, row, col, nameRef int64
	}
	settle := func(before int64, lineDone bool) { // positions of this line in front of the segment that begins at before
		for len(wanted) > 0 && (wanted[0].line < line || wanted[0].line == line && (lineDone || int64(wanted[0].column-1) < before)) {
			p := wanted[0]
			if p.line == line && last.valid && last.mapped {
				p.found, p.source, p.row, p.col, p.name = true, int(last.source), int(last.row), int(last.col), int(last.nameRef)
			}
			wanted = wanted[1:]
		}
	}
	segment := func() error {
		if n == 0 {
			return nil
		}
		if n != 1 && n != 4 && n != 5 {
			return errMap
		}
		column += fields[0]
		settle(column, false)
		last.valid, last.mapped, last.nameRef = true, n >= 4, -1
		if n >= 4 {
			source, row, col = source+fields[1], row+fields[2], col+fields[3]
			if n == 5 {
				name += fields[4]
				last.nameRef = name
			}
			last.source, last.row, last.col = source, row, col
			if source < 0 || row < 0 || col < 0 || name < 0 || source > 1<<31 || row > 1<<31 {
				return errMap
			}
		}
		n = 0
		return nil
	}
	for {
		c, err := r.ReadByte()
		if err != nil {
			return err
		}
		if digit := vlqValue[c]; digit >= 0 {
			if shift > 30 || n >= len(fields) {
				return errMap
			}
			value |= uint64(digit&31) << shift
			if shift += 5; digit&32 == 0 {
				number := int64(value >> 1)
				if value&1 != 0 {
					number = -number
				}
				fields[n] = number
				n++
				value, shift = 0, 0
			}
			continue
		}
		if shift != 0 || (c != ',' && c != ';' && c != '"') {
			return errMap
		}
		if err := segment(); err != nil {
			return err
		}
		if c == ',' {
			continue
		}
		settle(0, true)
		if c == '"' || len(wanted) == 0 {
			if c != '"' {
				return skipString(r)
			}
			return nil
		}
		line++
		column, last.valid = 0, false
	}
}

// skipString reads up to the end of a string whose opening quote has been read.
func skipString(r *bufio.Reader) error {
	for {
		part, err := r.ReadSlice('"')
		if err != nil && err != bufio.ErrBufferFull {
			return unexpected(err)
		}
		// An escape can be cut by the border of the buffer: then its other half is read here.
		slashes := 0
		end := len(part)
		if err == nil {
			end--
		}
		for i := end - 1; i >= 0 && part[i] == '\\'; i-- {
			slashes++
		}
		switch {
		case err == nil && slashes%2 == 0:
			return nil
		case err == bufio.ErrBufferFull && slashes%2 == 1:
			if _, err := r.ReadByte(); err != nil {
				return unexpected(err)
			}
		}
	}
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
