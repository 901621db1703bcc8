package state

import "time"

// Reason says why a crash was not sent.
type Reason string

// Every crash is sent, waits to be sent, or was held back for one of these.
const (
	Duplicate Reason = "duplicate" // the same crash was sent a moment ago
	Limited   Reason = "limited"   // more than so many a minute
	Silenced  Reason = "silenced"  // Sentry asked for silence before
	Throttled Reason = "throttled" // Sentry threw it away and asked for silence; it counts those itself
	Sampled   Reason = "sampled"
	Ignored   Reason = "ignored" // by a rule of the user's
	Queue     Reason = "queue"   // too many at once
	Expired   Reason = "expired" // it was kept too long, or could not be read again
	Refused   Reason = "refused" // Sentry will never take it
	Network   Reason = "network" // it could neither be sent nor kept
	Lost      Reason = "lost"    // the process was killed while it had it
)

// Reasons are all of them, in the order in which they are reported.
var Reasons = []Reason{Duplicate, Limited, Silenced, Throttled, Sampled, Ignored, Queue, Expired, Refused, Network, Lost}

// reportInterval is how long what is held back in a loop of crashes is summed up
// before it gets a report of its own.
const reportInterval = time.Minute

// Account is the book of an execution environment's crashes:
// Crashes = Sent + Waiting() + the sum of HeldBack, at every moment.
type Account struct {
	Crashes  int
	Sent     int
	HeldBack map[Reason]int
}

// NotReported is how many were held back.
func (a Account) NotReported() (n int) {
	for _, count := range a.HeldBack {
		n += count
	}
	return n
}

// Undelivered is how many Sentry should get and will not: held back neither
// by a rule of the user's nor because one like it, or many, were sent a moment ago.
func (a Account) Undelivered() (n int) {
	for _, reason := range []Reason{Silenced, Throttled, Queue, Expired, Refused, Network, Lost} {
		n += a.HeldBack[reason]
	}
	return n
}

// Waiting is how many are on their way or kept for the next try.
func (a Account) Waiting() int { return a.Crashes - a.Sent - a.NotReported() }

// Since is what happened after an earlier state of the same book.
func (a Account) Since(before Account) Account {
	since := Account{Crashes: a.Crashes - before.Crashes, Sent: a.Sent - before.Sent, HeldBack: map[Reason]int{}}
	for _, reason := range Reasons {
		if n := a.HeldBack[reason] - before.HeldBack[reason]; n != 0 {
			since.HeldBack[reason] = n
		}
	}
	return since
}

func (a Account) copy() Account {
	held := make(map[Reason]int, len(a.HeldBack))
	for reason, n := range a.HeldBack {
		held[reason] = n
	}
	a.HeldBack = held
	return a
}

// valid: the function's code can write to the file too.
func (a Account) valid() bool {
	const most = 1 << 40
	for _, n := range a.HeldBack {
		if n < 0 || n > most {
			return false
		}
	}
	return a.Sent >= 0 && a.Crashes >= 0 && a.Crashes < most && a.Waiting() >= 0
}

// Account is the book as it is now.
func (l *Ledger) Account() Account {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.data.Account.copy()
}

// Sent counts a crash that Sentry has.
func (l *Ledger) Sent() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.data.Account.Sent++
	l.save()
}

// HoldBack counts a crash that waited and will not be sent. Where its
// fingerprint is known, the next one like it counts it.
func (l *Ledger) HoldBack(fingerprint string, suppressed int, reason Reason) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if fingerprint != "" {
		l.put(fingerprint, seen{Count: suppressed + 1})
	}
	l.holdBack(reason, 1)
	l.save()
}

func (l *Ledger) holdBack(reason Reason, n int) {
	if l.data.Account.HeldBack == nil {
		l.data.Account.HeldBack = map[Reason]int{}
	}
	l.data.Account.HeldBack[reason] += n
	if reason == Throttled {
		return
	}
	if l.data.Unreported == nil {
		l.data.Unreported = map[Reason]int{}
	}
	l.data.Unreported[reason] += n
}

// Release takes back a crash that was held back, to send it after all. It
// returns how many like it stay held back.
func (l *Ledger) Release(fingerprint string, reason Reason, now time.Time) (suppressed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.data.Fingerprints[fingerprint]
	l.put(fingerprint, seen{Last: now.UnixMilli()})
	// The number for Sentry may become negative when it was reported already: the next one held back makes up
	// for it.
	l.holdBack(reason, -1)
	l.save()
	return max(s.Count-1, 0)
}

// Settle compares the book with what earlier processes left to be sent: kept
// events, and dropped ones that could not be used. What is missing died with its process.
func (l *Ledger) Settle(kept, dropped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	missing := l.data.Account.Waiting() - kept
	if missing < 0 { // the book is younger than the events
		l.data.Account.Crashes -= missing
		missing = 0
	}
	if unusable := min(dropped, missing); unusable > 0 {
		l.holdBack(Expired, unusable)
		missing -= unusable
	}
	if missing > 0 {
		l.holdBack(Lost, missing)
	}
	if kept+dropped+missing > 0 {
		l.save()
	}
}

// Unreported is what has not been reported to Sentry: crashes held back, by reason.
func (l *Ledger) Unreported() map[Reason]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	unreported := map[Reason]int{}
	for reason, n := range l.data.Unreported {
		if n > 0 {
			unreported[reason] = n
		}
	}
	return unreported
}

// ReportDue says that the last report is old enough for one without an event.
func (l *Ledger) ReportDue(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return now.UnixMilli()-l.data.ReportedAt >= reportInterval.Milliseconds()
}

// Reported notes what has been reported to Sentry.
func (l *Ledger) Reported(told map[Reason]int, now time.Time) {
	if len(told) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for reason, n := range told {
		if l.data.Unreported[reason] -= n; l.data.Unreported[reason] == 0 {
			delete(l.data.Unreported, reason)
		}
	}
	l.data.ReportedAt = now.UnixMilli()
	l.save()
}
