package extension

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// lambdaAndSentry is what a gate hears: ends after a time, or never, and a
// server that takes its time.
type lambdaAndSentry struct {
	ends  map[string]time.Time
	drops int
	// dropped is closed when telemetry is dropped.
	dropped chan struct{}
	takes   time.Duration // to answer; a negative one never does
	flushed int
}

func (l *lambdaAndSentry) Drops() int { return l.drops }

func (l *lambdaAndSentry) WaitEnd(ctx context.Context, id string, drops int) (time.Time, bool) {
	if at, known := l.ends[id]; known {
		if !at.After(time.Now()) {
			return at, true
		}
		select {
		case <-ctx.Done():
			return time.Time{}, false
		case <-time.After(time.Until(at)):
			return at, true
		}
	}
	dropped := l.dropped
	if l.drops > drops {
		return time.Time{}, false
	}
	select {
	case <-ctx.Done():
	case <-dropped:
		l.drops, l.dropped = l.drops+1, nil
	}
	return time.Time{}, false
}

func (l *lambdaAndSentry) Flush(ctx context.Context) bool {
	l.flushed++
	if l.takes < 0 {
		<-ctx.Done()
		return false
	}
	time.Sleep(l.takes)
	return true
}

// rig runs invocations one after the other, with a limit of 60 s, and says how long each was held after its handler had ended.
type rig struct {
	gate   *Gate
	remote *lambdaAndSentry
	lines  int
	n      int
}

func newRig() *rig {
	r := &rig{remote: &lambdaAndSentry{ends: map[string]time.Time{}}}
	r.gate = &Gate{Telemetry: r.remote, Log: func(string) { r.lines++ }}
	return r
}

// invoke runs a handler for a time. Its end is heard, or not.
func (r *rig) invoke(runs time.Duration, heard bool) (held time.Duration) {
	r.n++
	id := fmt.Sprint(r.n)
	began := time.Now()
	if heard {
		r.remote.ends[id] = began.Add(runs)
	}
	ctx, cancel := context.WithDeadline(context.Background(), began.Add(time.Minute-invokeReserve))
	defer cancel()
	r.gate.Hold(ctx, id)
	return max(time.Since(began)-runs, 0)
}

func TestALostEndHoldsTheEnvironmentOnceAndForTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		var held []time.Duration
		for i := 0; i < 5; i++ {
			held = append(held, r.invoke(0, false))
		}
		if got := fmt.Sprint(held); got != "[10s 100ms 0s 0s 0s]" || r.lines != 1 {
			t.Errorf("held %s, %d lines", got, r.lines)
		}
		for i := 0; i < 10; i++ {
			if held := r.invoke(0, true); held != 0 || !r.gate.open {
				t.Errorf("held %v while open: %v", held, r.gate.open)
			}
		}
		r.invoke(0, true) // by now ten in a row were heard
		if r.gate.open || r.lines != 2 {
			t.Errorf("open %v, %d lines", r.gate.open, r.lines)
		}
	})
}

func TestOneEndThatIsNotHeardKeepsTheGateOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.invoke(0, false)
		r.invoke(0, false)
		for i := 0; i < 40; i++ {
			r.invoke(0, i%heardToClose != 0)
		}
		if !r.gate.open {
			t.Error("closed although every tenth end is lost")
		}
	})
}

func TestDroppedTelemetryOpensTheGateAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.remote.dropped = make(chan struct{})
		close(r.remote.dropped)
		if held := r.invoke(0, false); held != lateEnd || !r.gate.open {
			t.Errorf("held %v, open %v", held, r.gate.open)
		}
	})
}

func TestAServerThatHangsHoldsOneInvocationForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.remote.takes = -1
		if held := r.invoke(0, true); held != time.Second {
			t.Errorf("held %v at first", held)
		}
		for i := 0; i < 29; i++ {
			time.Sleep(time.Second)
			if held := r.invoke(0, true); held != 0 {
				t.Errorf("held %v after %d s", held, i+1)
			}
		}
		time.Sleep(time.Second)
		if held := r.invoke(0, true); held != time.Second || r.gate.pause != time.Minute {
			t.Errorf("held %v after the pause, the next one is %v", held, r.gate.pause)
		}
		for i := 0; i < 10; i++ {
			time.Sleep(r.gate.pause)
			r.invoke(0, true)
		}
		if r.gate.pause != lastPause {
			t.Errorf("pause %v", r.gate.pause)
		}
		time.Sleep(r.gate.pause)
		r.remote.takes = 0
		r.invoke(0, true)
		if r.gate.pause != 0 {
			t.Errorf("pause %v after a delivery", r.gate.pause)
		}
	})
}

func TestALongInvocationIsNoLostSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.invoke(12*time.Second, true) // let go after ten
		flushed := r.remote.flushed
		time.Sleep(2 * time.Second)
		if held := r.invoke(12500*time.Millisecond, true); held != 0 || r.remote.flushed != flushed+1 || r.lines != 0 {
			t.Errorf("held %v, %d flushes, %d lines: the longest is known, so this one is held to its end", held, r.remote.flushed, r.lines)
		}
	})
}

func TestAHealthyInvocationIsHeldForItsDeliveryOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.remote.takes = 20 * time.Millisecond
		for i := 0; i < 5; i++ {
			if held := r.invoke(time.Second, true); held != 20*time.Millisecond {
				t.Errorf("held %v", held)
			}
		}
	})
}

func TestALostEndHoldsForTwiceTheLongestInvocationWhereThatIsMoreThanTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.invoke(8*time.Second, true)
		if held := r.invoke(0, false); held != 16*time.Second {
			t.Errorf("held %v", held)
		}
	})
}
