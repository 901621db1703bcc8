package telemetry

import (
	"bytes"
	"io"
	"sync"
	"time"
)

const (
	// fragmentTTL: the second half of a cut record comes with the next POST.
	fragmentTTL = time.Second
	// maxBody stops a body that never ends; Lambda's are below 1 MiB.
	maxBody = 16 << 20
	// readSize is small because there are two readers at most and the kernel
	// buffers the rest.
	readSize = 16 << 10
)

// Sink takes the events of a batch in order.
type Sink interface {
	// WantsLog is asked with the raw event before a function record is parsed.
	WantsLog(raw []byte) bool
	Observe(Event)
}

// Ingest reads batches. It never fails: what cannot be read is skipped.
type Ingest struct {
	Sink Sink
	Now  func() time.Time

	mu       sync.Mutex
	prefix   []byte // the bytes a continuation of the fragment starts with
	fragment []byte // the first half of a cut record, prefix included
	taken    time.Time
}

// Read takes one posted batch.
func (in *Ingest) Read(body io.Reader) {
	s := &splitter{emit: in.element}
	body = io.LimitReader(body, maxBody)
	buf := make([]byte, readSize)
	n, err := io.ReadAtLeast(body, buf, 512)
	s.write(in.stitch(buf[:n]))
	for err == nil {
		n, err = body.Read(buf)
		s.write(buf[:n])
	}
	in.hold(s.rest())
}

func (in *Ingest) element(raw []byte) {
	if IsLog(raw) && !in.Sink.WantsLog(raw) {
		return
	}
	if event, ok := Decode(raw); ok {
		in.Sink.Observe(event)
	}
}

// stitch puts a held first half in front of its second half. Lambda cuts a
// record anywhere, closes the POST with "}]" and repeats time and type at the
// start of the next one.
func (in *Ingest) stitch(head []byte) []byte {
	in.mu.Lock()
	defer in.mu.Unlock()
	fragment, prefix := in.fragment, in.prefix
	in.fragment, in.prefix = nil, nil
	if fragment == nil || in.Now().Sub(in.taken) > fragmentTTL {
		return head
	}
	if len(head) == 0 || head[0] != '[' || !bytes.HasPrefix(head[1:], prefix) {
		return head
	}
	joined := make([]byte, 0, 1+len(fragment)+len(head))
	joined = append(append(joined, '['), fragment...)
	return append(joined, head[1+len(prefix):]...)
}

func (in *Ingest) hold(rest []byte) {
	const recordKey = `"type":"function","record":`
	end := bytes.Index(rest, []byte(recordKey))
	if !bytes.HasPrefix(rest, eventStart) || end < 0 || end > 80 {
		return
	}
	rest = bytes.TrimSuffix(rest, []byte("}]"))
	in.mu.Lock()
	defer in.mu.Unlock()
	in.fragment = append([]byte(nil), rest...)
	in.prefix = in.fragment[:end+len(recordKey)]
	in.taken = in.Now()
}
