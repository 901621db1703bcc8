package extension

import (
	"context"
	"errors"
	"time"
)

const (
	registerLimit = 7 * time.Second
	shutdownLimit = 2 * time.Second
	// invokeReserve is kept of an invocation's time, so that waiting never makes it time out.
	invokeReserve = 200 * time.Millisecond
	maxRefusals   = 3
)

// Register retries what may pass and gives up on what cannot: holding on would
// hang every invocation. events falls back to SHUTDOWN alone where INVOKE is refused.
func (a *API) Register(ctx context.Context, events []string) (Registration, error) {
	ctx, cancel := context.WithTimeout(ctx, registerLimit)
	defer cancel()
	for pause := 10 * time.Millisecond; ; pause = min(pause*2, 250*time.Millisecond) {
		registration, err := a.register(ctx, events)
		var status statusError
		switch {
		case err == nil:
			return registration, nil
		case errors.As(err, &status) && status.Status == 403 && len(events) > 1 && (status.Type == "Extension.InvalidEventType" || status.Type == ""):
			events = []string{"SHUTDOWN"}
			continue
		case errors.As(err, &status) && status.Status < 500, errors.Is(err, errNoID):
			return Registration{}, err
		}
		select {
		case <-ctx.Done():
			return Registration{}, err
		case <-time.After(pause):
		}
	}
}

// Handler receives what Lambda says.
type Handler interface {
	// Invoke returns before the deadline.
	Invoke(ctx context.Context, requestID string)
	// Shutdown returns within the budget.
	Shutdown(reason string, budget time.Duration)
}

// Run waits for events until SHUTDOWN. It returns for no other reason.
func (a *API) Run(ctx context.Context, handler Handler, log func(string)) {
	pause := 100 * time.Millisecond
	refusals := 0
	for {
		event, err := a.next(ctx)
		var status statusError
		switch {
		case errors.As(err, &status):
			if refusals++; refusals >= maxRefusals {
				log("Lambda refuses to send events (" + err.Error() + "); staying idle")
				select {} // leaving would fail the function
			}
			time.Sleep(pause)
			continue
		case err != nil:
			time.Sleep(pause)
			pause = min(pause*2, 5*time.Second)
			continue
		}
		pause, refusals = 100*time.Millisecond, 0
		switch event.EventType {
		case "INVOKE":
			deadline := time.UnixMilli(int64(event.DeadlineMs)).Add(-invokeReserve)
			invokeCtx, cancel := context.WithDeadline(ctx, deadline)
			handler.Invoke(invokeCtx, event.RequestID)
			cancel()
		case "SHUTDOWN":
			handler.Shutdown(event.ShutdownReason, shutdownBudget(event.DeadlineMs, time.Now()))
			return
		}
	}
}

// shutdownBudget: deadlines have been seen that are not a time of day; then it is the documented limit.
func shutdownBudget(deadlineMs float64, now time.Time) time.Duration {
	left := time.UnixMilli(int64(deadlineMs)).Sub(now)
	if left <= 0 {
		return shutdownLimit
	}
	return min(left, shutdownLimit)
}
