package extension

import (
	"context"
	"time"
)

const (
	// A lost signal holds the environment this long at most, or twice the longest
	// known invocation, but never longer than longestHold.
	shortestHold = 10 * time.Second
	longestHold  = time.Minute
	// lateEnd is what the end of the previous invocation may still need.
	lateEnd = 100 * time.Millisecond
	// heardToClose invocations in a row must have a known end before the environment is held again.
	heardToClose = 10
	// sendHold is how long a delivery may hold the environment.
	sendHold   = time.Second
	firstPause = 30 * time.Second
	lastPause  = 10 * time.Minute
)

// Telemetry is what the gate hears and has sent.
type Telemetry interface {
	// WaitEnd waits until the end of an invocation is known and returns when that
	// was. ok is false when the context ends first, or when telemetry was dropped
	// after the given count of drops.
	WaitEnd(ctx context.Context, requestID string, drops int) (at time.Time, ok bool)
	// Drops is how often Lambda said that it dropped telemetry.
	Drops() int
	// Flush sends what is due. It is false when the server did not take it in time.
	Flush(ctx context.Context) bool
}

// Gate holds an environment after an invocation until its errors are sent, in
// errors mode: otherwise they would be frozen with it. Two breakers keep it
// from ever being in the way:
//
//   - a signal that Lambda lost holds one invocation, once; then the gate is open
//     until ten ends in a row have been heard;
//   - a server that does not answer holds one for a second; then nothing is held
//     for it for 30 s, doubling to 10 min, until a delivery succeeds.
//
// What was released early is not lost: it is sent at the next thaw or at SHUTDOWN.
type Gate struct {
	Telemetry Telemetry
	Log       func(string)

	open    bool
	heard   int        // ends in a row, while open
	before  invocation // let go without its end
	longest time.Duration
	pause   time.Duration
	sendAt  time.Time // nothing is held for a delivery before
}

type invocation struct {
	id    string
	began time.Time
}

// Hold returns when the environment may be frozen, before the context ends.
func (g *Gate) Hold(ctx context.Context, requestID string) {
	current := invocation{requestID, time.Now()}
	g.judgeBefore(ctx)
	if g.open {
		g.before = current
		return
	}
	if !g.waitEnd(ctx, current) {
		return
	}
	if time.Now().Before(g.sendAt) {
		return
	}
	sending, cancel := context.WithTimeout(ctx, sendHold)
	defer cancel()
	if g.Telemetry.Flush(sending) {
		g.pause = 0
		return
	}
	g.pause = min(max(2*g.pause, firstPause), lastPause)
	g.sendAt = time.Now().Add(g.pause)
}

// judgeBefore checks whether the end of the previous invocation was only late, or
// is lost. The handler runs meanwhile.
func (g *Gate) judgeBefore(ctx context.Context) {
	before := g.before
	if before.id == "" {
		return
	}
	g.before = invocation{}
	late, cancel := context.WithTimeout(ctx, lateEnd)
	defer cancel()
	if g.open { // nothing is waited for any more
		cancel()
	}
	at, ok := g.Telemetry.WaitEnd(late, before.id, g.Telemetry.Drops())
	switch {
	case ok:
		g.longest = max(g.longest, at.Sub(before.began))
		if g.heard++; g.open && g.heard >= heardToClose {
			g.open = false
			g.Log("telemetry is complete again: errors are sent right after each invocation")
		}
	case g.open:
		g.heard = 0
	default:
		g.lost()
	}
}

// waitEnd waits for the end of an invocation. It is false when nothing was heard.
func (g *Gate) waitEnd(ctx context.Context, current invocation) bool {
	ctx, cancel := context.WithTimeout(ctx, max(shortestHold, min(2*g.longest, longestHold)))
	defer cancel()
	drops := g.Telemetry.Drops()
	at, ok := g.Telemetry.WaitEnd(ctx, current.id, drops)
	if !ok && g.Telemetry.Drops() > drops {
		late, cancel := context.WithTimeout(ctx, lateEnd)
		defer cancel()
		if at, ok = g.Telemetry.WaitEnd(late, current.id, g.Telemetry.Drops()); !ok {
			g.lost()
			return false
		}
	}
	if !ok {
		g.before = current
		return false
	}
	g.longest = max(g.longest, at.Sub(current.began))
	return true
}

func (g *Gate) lost() {
	g.open, g.heard = true, 0
	g.Log("Lambda did not report how an invocation ended: errors are sent at the next one, until its telemetry is complete again")
}
