// Package state is what survives in /tmp when Lambda resets the environment
// and starts this extension anew: what was reported when, what could not be
// sent yet, and how long Sentry wants silence. Everything is best effort: with
// a full or read-only disk the same rules hold for the life of the process.
package state

import (
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	// twinWindow: the second initialization of one crash follows within the invocation.
	twinWindow      = 15 * time.Minute
	maxFingerprints = 64
	maxLedger       = 64 << 10
	maxLimit        = 24 * time.Hour
)

type seen struct {
	Last  int64 // Unix milliseconds
	Count int
}

type ledgerData struct {
	Generation   int
	Fingerprints map[string]seen
	InitCrash    int // the generation whose initialization crashed, 0 if none
	InitCrashAt  int64
	Tokens       float64
	Refilled     int64
	LimitedUntil int64
	Account      Account
	Unreported   map[Reason]int
	ReportedAt   int64
}

// Limits are how much is sent.
type Limits struct {
	// PerMinute is how many crashes are sent a minute, and at once.
	PerMinute int
	// Window is how long after a crash the same one is only counted.
	Window time.Duration
}

// Ledger remembers what was reported. A generation is one life of this
// process; several generations share an execution environment.
type Ledger struct {
	mu     sync.Mutex
	path   string
	limits Limits
	data   ledgerData
}

// OpenLedger reads the ledger in dir and counts this process as a new generation.
func OpenLedger(dir string, limits Limits, now time.Time) *Ledger {
	l := &Ledger{path: filepath.Join(dir, "ledger.json"), limits: limits}
	_ = os.MkdirAll(dir, 0o700)
	if raw, err := readSmall(l.path, maxLedger); err == nil {
		l.data = readLedger(raw)
	}
	l.forgetFuture(now)
	l.data.Generation++
	l.save()
	return l
}

// forgetFuture drops times after now: the function's code can write here too,
// and a clock can jump after a snapshot is restored.
func (l *Ledger) forgetFuture(now time.Time) {
	limit := now.UnixMilli()
	if l.data.Refilled > limit || l.data.Refilled == 0 {
		l.data.Tokens, l.data.Refilled = float64(l.limits.PerMinute), limit
	}
	for fp, s := range l.data.Fingerprints {
		if s.Last > limit {
			delete(l.data.Fingerprints, fp)
		}
	}
	if l.data.LimitedUntil > now.Add(maxLimit).UnixMilli() {
		l.data.LimitedUntil = 0
	}
	if l.data.ReportedAt > limit {
		l.data.ReportedAt = 0
	}
	if !l.data.Account.valid() {
		l.data.Account, l.data.Unreported = Account{}, nil
	}
}

// Crash is what the ledger needs to know about a report.
type Crash struct {
	Fingerprint string
	Init        bool
	InitRetry   bool
	// Lost is how many other crashes were dropped unread before this one.
	Lost int
	// HoldBack is why it is not to be sent in any case; empty if it may be.
	HoldBack Reason
}

// Decision is what becomes of a crash.
type Decision struct {
	Send bool
	// Suppressed is how many like it were held back since the last one that was sent.
	Suppressed int
	// Reason says why it is held back; empty where it is another signal of a crash that is counted already.
	Reason Reason
}

// Admit enters a crash in the book and decides whether it is sent now.
func (l *Ledger) Admit(c Crash, now time.Time) Decision {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.save()
	if c.Lost > 0 {
		l.data.Account.Crashes += c.Lost
		l.holdBack(Queue, c.Lost)
	}
	if c.InitRetry && l.data.InitCrash != 0 && l.data.InitCrash == l.data.Generation-1 &&
		now.UnixMilli()-l.data.InitCrashAt < twinWindow.Milliseconds() {
		l.data.InitCrash = 0
		return Decision{} // the same crash seen again, no second one to count
	}
	if c.Init && !c.InitRetry {
		l.data.InitCrash, l.data.InitCrashAt = l.data.Generation, now.UnixMilli()
	}
	l.data.Account.Crashes++
	s, known := l.data.Fingerprints[c.Fingerprint]
	if reason := l.reason(c, s, known, now); reason != "" {
		l.holdBack(reason, 1)
		if reason != Ignored && reason != Sampled {
			s.Count += 1 + c.Lost
			l.put(c.Fingerprint, s)
		}
		return Decision{Reason: reason}
	}
	l.put(c.Fingerprint, seen{Last: now.UnixMilli()})
	return Decision{Send: true, Suppressed: s.Count + c.Lost}
}

func (l *Ledger) reason(c Crash, s seen, known bool, now time.Time) Reason {
	switch {
	case c.HoldBack != "":
		return c.HoldBack
	case known && s.Last != 0 && now.UnixMilli()-s.Last < l.limits.Window.Milliseconds():
		return Duplicate
	case l.data.LimitedUntil > now.UnixMilli():
		return Silenced
	case !l.takeToken(now):
		return Limited
	}
	return ""
}

// Limit keeps silent until the given time. It says whether that is news.
func (l *Ledger) Limit(until, now time.Time) (begins bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if latest := now.Add(maxLimit); until.After(latest) {
		until = latest
	}
	begins = l.data.LimitedUntil <= now.UnixMilli()
	if ms := until.UnixMilli(); ms > l.data.LimitedUntil {
		l.data.LimitedUntil = ms
		l.save()
	}
	return begins
}

// Limited says whether Sentry wants silence.
func (l *Ledger) Limited(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.data.LimitedUntil > now.UnixMilli()
}

func (l *Ledger) takeToken(now time.Time) bool {
	minutes := float64(now.UnixMilli()-l.data.Refilled) / 60000
	perMinute := float64(l.limits.PerMinute)
	l.data.Tokens = min(perMinute, l.data.Tokens+max(minutes, 0)*perMinute)
	l.data.Refilled = now.UnixMilli()
	if l.data.Tokens < 1 {
		return false
	}
	l.data.Tokens--
	return true
}

func (l *Ledger) put(fp string, s seen) {
	if l.data.Fingerprints == nil {
		l.data.Fingerprints = map[string]seen{}
	}
	if _, known := l.data.Fingerprints[fp]; !known && len(l.data.Fingerprints) >= maxFingerprints {
		oldest := ""
		for name, s := range l.data.Fingerprints {
			if oldest == "" || s.Last < l.data.Fingerprints[oldest].Last {
				oldest = name
			}
		}
		delete(l.data.Fingerprints, oldest)
	}
	l.data.Fingerprints[fp] = s
}

func (l *Ledger) save() {
	_ = writeFile(l.path, l.data.write())
}

// writeFile replaces a file in one step, so that a kill never leaves half of it.
func writeFile(path string, raw []byte) error {
	temporary := path + ".tmp"
	_ = os.Remove(temporary)
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		_ = os.Remove(temporary)
	}
	return err
}

// readSmall reads a regular file of at most limit bytes. /tmp belongs to the
// function too: no links, no pipes, no devices.
func readSmall(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, os.ErrInvalid
	}
	raw := make([]byte, info.Size())
	n, err := f.ReadAt(raw, 0)
	return raw[:n], err
}
