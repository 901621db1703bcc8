package crash

import (
	"bytes"
	"strings"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/stack"
	"cdk-serverless-blocks/crash-reporter/internal/telemetry"
)

const (
	maxBlock     = 32 << 10
	maxCrumbs    = 20
	maxCrumbText = 400
)

// Scopes for log lines that belong to no request.
const (
	scopeInit   = "init"
	scopeIdle   = "idle"   // between invocations
	scopeShared = "shared" // several requests run at once and the line names none
)

// logbook keeps the last error seen in the log for each scope. Where there is
// no framed log channel a stack trace comes as many records, one per line;
// they are joined into a block first.
type logbook struct {
	findings map[string]stack.Finding
	block    strings.Builder
	scope    string // of the open block
	crumbs   []Crumb
	// keepCrumbs is off unless asked for: log lines may hold personal data.
	keepCrumbs bool
}

// markers are words at least one of which stands in every record that can
// begin a report of a crash.
var markers = [][]byte{[]byte("rror"), []byte("xception"), []byte("panic: "), []byte("Traceback"), []byte("goroutine "),
	[]byte("ERROR"), []byte("out of memory"), []byte("\tfail\t"), []byte(`\tfail\t`), []byte("Runtime exited"), []byte("FATAL"), []byte("CRITICAL"), []byte("panicked at ")}

func (b *logbook) wants(raw []byte) bool {
	if b.keepCrumbs || b.block.Len() > 0 {
		return true
	}
	for _, marker := range markers {
		if bytes.Contains(raw, marker) {
			return true
		}
	}
	return false
}

func (b *logbook) add(event telemetry.Event, scope string, line stack.Line) {
	b.crumb(event.Time, line)
	if line.Fields != nil {
		b.close()
		b.record(scope, stack.ReadFields(line))
		return
	}
	if b.block.Len() > 0 && continues(b.block.String(), line.Text) {
		if b.block.Len()+len(line.Text) < maxBlock {
			b.append(line.Text)
		}
		return
	}
	b.close()
	if b.opens(line.Text) {
		b.scope = scope
		b.append(stack.Clip(line.Text, maxBlock))
	}
}

func (b *logbook) opens(text string) bool {
	for _, marker := range markers {
		if strings.Contains(text, string(marker)) {
			return true
		}
	}
	return false
}

func (b *logbook) append(text string) {
	b.block.WriteString(strings.TrimRight(text, "\n"))
	b.block.WriteByte('\n')
}

// close reads the open block and files what it says.
func (b *logbook) close() {
	if b.block.Len() == 0 {
		return
	}
	text := b.block.String()
	b.block.Reset()
	b.record(b.scope, stack.ReadText(text))
}

// record files a finding. The runtime's own report beats what code logged; of two
// equals the later one counts. Facts about memory and exit add up. What is filed as the runtime's has exceptions.
func (b *logbook) record(scope string, f stack.Finding) {
	if f.Empty() {
		return
	}
	old := b.findings[scope]
	if f.Runtime && !old.Runtime {
		f.Trace = f.Trace.CompletedBy(old.Trace)
	}
	if len(f.Exceptions) == 0 || (old.Runtime && !f.Runtime) {
		f.Trace, f.Runtime = old.Trace, old.Runtime
	}
	f.OutOfMemory = f.OutOfMemory || old.OutOfMemory
	f.Exit = first(f.Exit, old.Exit)
	if b.findings == nil {
		b.findings = map[string]stack.Finding{}
	}
	b.findings[scope] = f
}

// finding returns what the log says for a scope.
func (b *logbook) finding(scope string) stack.Finding {
	b.close()
	return b.findings[scope]
}

func (b *logbook) forget(scope string) {
	if b.scope == scope {
		b.block.Reset()
	}
	delete(b.findings, scope)
}

func (b *logbook) crumb(at time.Time, line stack.Line) {
	if !b.keepCrumbs {
		return
	}
	text := line.Text
	if text == "" {
		return
	}
	b.crumbs = append(b.crumbs, Crumb{Time: at, Text: stack.Clip(strings.TrimSpace(text), maxCrumbText)})
	if n := len(b.crumbs); n > maxCrumbs {
		b.crumbs = append(b.crumbs[:0], b.crumbs[n-maxCrumbs:]...)
	}
}

var continuations = []string{"at ", "Caused by: ", "... ", "goroutine ", "created by ", "exit status ", "Traceback (most", "During handling of the above",
	"The above exception", "[signal ", "---> ", "--- End of", "Node.js v", "}", "]", "{", "panic: ", "stack backtrace:", "note: ", "Stack trace:", "#"}

// continues says whether a record is the next line of the open block.
func continues(block, text string) bool {
	line, _, _ := strings.Cut(strings.TrimRight(text, "\r\n"), "\n")
	if line == "" || line[0] == ' ' || line[0] == '\t' || strings.HasPrefix(line, "\u00a0") {
		return true
	}
	for _, prefix := range continuations {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	first, _, _ := strings.Cut(block, "\n")
	last := block[strings.LastIndexByte(strings.TrimRight(block, "\n"), '\n')+1:]
	switch {
	case stack.IsRustHead(first) && strings.Count(block, "\n") == 1:
		return true // the message
	case strings.Contains(block, "goroutine ") && strings.Contains(block, "]:"):
		// Go prints a function and then, indented, its place.
		return strings.HasSuffix(line, ")") && strings.Contains(line, "(")
	case strings.Contains(block, "Traceback (most recent call last)"):
		// The interpreter ends a traceback with "Type: message".
		return strings.HasPrefix(last, " ") && !strings.HasPrefix(block, "[ERROR] ") && !strings.Contains(line, "\t")
	case stack.IsRubyHead(first):
		return stack.IsRubyHead(line) // a cause
	case strings.Count(block, "{") > strings.Count(block, "}"):
		return strings.HasPrefix(line, `"`)
	}
	return false
}
