package state

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/wire"
)

const (
	maxSpool = 256 << 10
	maxItem  = 128 << 10
	maxAge   = 24 * time.Hour
	suffix   = ".env"
)

// Spool keeps events that have not been delivered. The name of a file is the
// event's id, so an event that is sent twice is still one event.
type Spool struct {
	dir  string
	mu   sync.Mutex
	size int64
}

// Item is one undelivered event.
type Item struct {
	ID      string
	Payload []byte
}

// OpenSpool uses dir, which may not exist or not be writable.
func OpenSpool(dir string) *Spool {
	return &Spool{dir: dir}
}

// Save writes an event. It reports whether the event is safe on disk.
func (s *Spool) Save(id string, payload []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !validID(id) || len(payload) > maxItem || s.size+int64(len(payload)) > maxSpool {
		return false
	}
	if writeFile(filepath.Join(s.dir, id+suffix), payload) != nil {
		return false
	}
	s.size += int64(len(payload))
	return true
}

// Delete forgets an event.
func (s *Spool) Delete(id string, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if validID(id) && os.Remove(filepath.Join(s.dir, id+suffix)) == nil {
		s.size = max(0, s.size-int64(size))
	}
}

// Leftovers returns the events of earlier processes that are worth sending. It
// deletes the others, and returns how many those were.
func (s *Spool) Leftovers(now time.Time) (items []Item, dropped int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, 0
	}
	s.size = 0
	for _, entry := range entries {
		id, ok := strings.CutSuffix(entry.Name(), suffix)
		if !ok {
			continue
		}
		path := filepath.Join(s.dir, entry.Name())
		info, err := entry.Info()
		if err != nil {
			continue
		}
		raw, err := readSmall(path, maxItem)
		if err != nil || !validID(id) || !wire.Valid(raw) || now.Sub(info.ModTime()) > maxAge || s.size+int64(len(raw)) > maxSpool {
			_ = os.Remove(path)
			dropped++
			continue
		}
		s.size += int64(len(raw))
		items = append(items, Item{ID: id, Payload: raw})
	}
	return items, dropped
}

func validID(id string) bool {
	return len(id) == 32 && strings.Trim(id, "0123456789abcdef") == ""
}
