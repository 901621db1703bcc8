// Package source shows the author's lines: it maps frames of bundled Node.js
// code by the source maps in the function's package, and reads the lines around
// a frame. A log line is text that anybody may have written, so only regular
// files below the function's own folder are read, as data; and bytes and time
// are bounded, so that a map never costs the report.
package source

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/stack"
)

const (
	// maxFrames of an error are looked at, from the innermost on.
	maxFrames = 12
	maxBytes  = 64 << 20
	tailSize  = 4 << 10
	headSize  = 4 << 10
	// maxOwnLine: a longer line of the file itself is not source that somebody wrote.
	maxOwnLine = 512
)

var errLimit = errors.New("the limit of bytes or time is reached")

// taskRoot is what traces call the function's folder.
const taskRoot = "/var/task/"

// maxPlaces of earlier crashes are kept: a place is a few lines of code.
const maxPlaces = 64

// Files is the function's own folder, and what its maps said of places where it
// crashed: the same crash comes again and again, and the files never change.
type Files struct {
	root   *os.Root
	places map[place]*mapped // nil where the map has nothing
}

// place is where generated code failed.
type place struct {
	file         string
	line, column int
}

// Open opens the folder, which an emulator may have elsewhere. It returns nil where there is none.
func Open(dir string) *Files {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil
	}
	return &Files{root, map[place]*mapped{}}
}

// Enrich maps the frames of errors and adds the lines around them. What cannot
// be done within the time, or at all, is left as it is.
func (f *Files) Enrich(trace []stack.Exception, language string, limit time.Duration) (images []stack.DebugImage) {
	if f == nil || (language != stack.Node && language != stack.Python && language != stack.Ruby) {
		return nil
	}
	b := &budget{bytes: maxBytes, until: time.Now().Add(limit)}
	for i := range trace {
		e := &trace[i]
		untouched := append([]stack.Frame(nil), e.Frames...)
		from := max(0, len(e.Frames)-maxFrames)
		done := map[string]bool{}
		mapped := false
		for j := len(e.Frames) - 1; j >= from; j-- {
			name, ok := f.name(e.Frames[j])
			if !ok || done[name] {
				continue
			}
			done[name] = true
			if language == stack.Node {
				ok, image := f.mapFile(name, e.Frames[from:], b)
				mapped = mapped || ok
				if ok {
					continue
				}
				if image != nil {
					images = append(images, *image)
					continue
				}
			}
			f.ownLines(name, e.Frames[from:], b)
		}
		if mapped {
			e.RawFrames = untouched
		}
	}
	return images
}

// name is a frame's file, below the folder.
func (f *Files) name(frame stack.Frame) (string, bool) {
	name, ok := strings.CutPrefix(frame.Path, taskRoot)
	return name, ok && name != "" && frame.Line > 0 && !frame.Mapped
}

// mapFile maps all frames of one generated file. Without a map it may know the file's debug id.
func (f *Files) mapFile(name string, frames []stack.Frame, b *budget) (mapped bool, image *stack.DebugImage) {
	var at []int
	known := true
	for i, frame := range frames {
		if own, ok := f.name(frame); ok && own == name && frame.Column > 0 {
			at = append(at, i)
			_, before := f.places[place{name, frame.Line, frame.Column}]
			known = known && before
		}
	}
	if !known || len(at) == 0 {
		file, err := f.open(name, b)
		if err != nil {
			return false, nil
		}
		defer file.Close()
		open := f.findMap(name, file, b)
		if open == nil {
			if id := debugID(file); id != "" {
				return false, &stack.DebugImage{CodeFile: taskRoot + name, DebugID: id}
			}
			return false, nil
		}
		if !f.look(name, frames, at, open) {
			return false, nil
		}
	}
	names := map[int]string{}
	for _, i := range at {
		frame := &frames[i]
		found := f.places[place{name, frame.Line, frame.Column}]
		if found == nil {
			continue
		}
		mapped = true
		frame.Mapped = true
		frame.Path, frame.Line, frame.Column = taskRoot+found.file, found.line, found.col
		frame.InApp = !strings.Contains("/"+found.file, "/node_modules/")
		names[i] = found.name
		if found.lines != nil { // copies: whoever redacts them does it in place
			frame.Pre, frame.Source, frame.Post = append([]string(nil), found.lines.pre...), found.lines.line, append([]string(nil), found.lines.post...)
		}
	}
	// The minified name of a function is what its caller called: the token there is the author's name.
	for i := range frames {
		if callee := names[i]; callee != "" && i+1 < len(frames) && frames[i+1].Mapped {
			frames[i+1].RawFunction, frames[i+1].Function = frames[i+1].Function, callee
		}
	}
	return mapped, nil
}

// look reads the map for all places of a file, and keeps what it says. What was
// cut short by a limit is not kept: the next crash may have more time.
func (f *Files) look(name string, frames []stack.Frame, at []int, open opener) bool {
	var positions []*position
	for _, i := range at {
		positions = append(positions, &position{line: frames[i].Line, column: frames[i].Column, name: -1})
	}
	found, err := resolve(open, positions)
	if err != nil {
		return false
	}
	if len(f.places)+len(at) > maxPlaces {
		clear(f.places)
	}
	for i, p := range positions {
		f.places[place{name, p.line, p.column}] = found[i]
	}
	return true
}

// findMap looks where a map can be: named at the end of the file, beside it, or within it.
func (f *Files) findMap(name string, file *limited, b *budget) opener {
	const comment = "//# sourceMappingURL="
	tail := file.tail(tailSize)
	beside := path.Base(name) + ".map"
	if i := bytes.LastIndex(tail, []byte(comment)); i >= 0 {
		target, _, _ := strings.Cut(string(tail[i+len(comment):]), "\n")
		if target = strings.TrimSpace(target); !strings.HasPrefix(target, "data:") {
			beside = target
		}
	}
	if target := path.Join(path.Dir(name), beside); !strings.Contains(beside, "://") {
		if m, err := f.open(target, b); err == nil {
			m.Close()
			return func() (io.ReadCloser, error) { return f.open(target, b) }
		}
	}
	start, err := file.find([]byte(comment+"data:"), []byte(";base64,"))
	if err != nil {
		return nil
	}
	return func() (io.ReadCloser, error) {
		again, err := f.open(name, b)
		if err != nil {
			return nil, err
		}
		if _, err := again.file.Seek(start, io.SeekStart); err != nil {
			again.Close()
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{base64.NewDecoder(base64.StdEncoding, again), again}, nil
	}
}

func debugID(file *limited) string {
	_, rest, ok := strings.Cut(string(file.tail(tailSize)), "//# debugId=")
	if !ok {
		_, rest, _ = strings.Cut(string(file.head(headSize)), "sentry-dbid-")
	}
	if len(rest) < 36 {
		return ""
	}
	for i, c := range []byte(rest[:36]) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && strings.IndexByte("0123456789abcdefABCDEF", c) < 0 {
			return "" // an invalid id is an error on the event
		}
	}
	return strings.ToLower(rest[:36])
}

// ownLines adds the lines of the file itself around frames that are not mapped.
func (f *Files) ownLines(name string, frames []stack.Frame, b *budget) {
	file, err := f.open(name, b)
	if err != nil {
		return
	}
	defer file.Close()
	var wanted []*stack.Frame
	around := map[int]*lines{}
	last := 0
	for i := range frames {
		if own, ok := f.name(frames[i]); ok && own == name {
			wanted = append(wanted, &frames[i])
			around[len(wanted)-1] = &lines{}
			last = max(last, frames[i].Line)
		}
	}
	r := bufio.NewReaderSize(file, bufferSize)
	row, length := 1, 0
	tooLong := map[int]bool{}
	next := func() (byte, error) {
		c, err := r.ReadByte()
		if err == nil && row > last+contextLines {
			return 0, io.EOF
		}
		if length++; length > maxOwnLine {
			tooLong[row] = true
		}
		if c == '\n' {
			row, length = row+1, 0
		}
		return c, err
	}
	err = collect(next, func(row int) []*lines {
		list := make([]*lines, len(wanted))
		for i, frame := range wanted {
			if distance := row + 1 - frame.Line; distance >= -contextLines && distance <= contextLines {
				list[i] = around[i]
			}
		}
		return list
	}, func(i, row int) int { return row + 1 - wanted[i].Line })
	if err != nil {
		return
	}
	for i, frame := range wanted {
		if l := around[i]; l.line != "" && !tooLong[frame.Line] {
			frame.Pre, frame.Source, frame.Post = l.pre, l.line, l.post
		}
	}
}

// budget is what may be read, and until when.
type budget struct {
	bytes int64
	until time.Time
}

// limited is a regular file below the folder, read within a budget.
type limited struct {
	file   *os.File
	budget *budget
}

func (f *Files) open(name string, b *budget) (*limited, error) {
	file, err := f.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not block us
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		file.Close()
		return nil, os.ErrInvalid
	}
	return &limited{file, b}, nil
}

func (l *limited) Close() error { return l.file.Close() }

func (l *limited) Read(p []byte) (int, error) {
	if l.budget.bytes <= 0 || time.Now().After(l.budget.until) {
		return 0, errLimit
	}
	n, err := l.file.Read(p)
	l.budget.bytes -= int64(n)
	return n, err
}

func (l *limited) head(size int) []byte {
	buf := make([]byte, size)
	n, _ := l.file.ReadAt(buf, 0)
	return buf[:n]
}

func (l *limited) tail(size int) []byte {
	info, err := l.file.Stat()
	if err != nil {
		return nil
	}
	buf := make([]byte, min(int64(size), info.Size()))
	n, _ := l.file.ReadAt(buf, info.Size()-int64(len(buf)))
	return buf[:n]
}

// find returns the place behind the last first, second that follow each other closely.
func (l *limited) find(first, second []byte) (int64, error) {
	if _, err := l.file.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	buf := make([]byte, bufferSize)
	found, offset, kept := int64(-1), int64(0), 0
	const overlap = 256 // both together are shorter
	for {
		n, err := l.Read(buf[kept:])
		window := buf[:kept+n]
		for from := 0; ; {
			i := bytes.Index(window[from:], first)
			if i < 0 {
				break
			}
			from += i + len(first)
			if j := bytes.Index(window[from:min(len(window), from+128)], second); j >= 0 {
				found = offset + int64(from+j+len(second))
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, err
		}
		kept = copy(buf, window[max(0, len(window)-overlap):])
		offset += int64(len(window) - kept)
	}
	if found < 0 {
		return 0, os.ErrNotExist
	}
	return found, nil
}
