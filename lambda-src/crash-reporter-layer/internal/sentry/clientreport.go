package sentry

import (
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/wire"
)

// Discarded is how many crashes were not sent for one of Sentry's reasons.
type Discarded struct {
	Reason   string
	Category string
	Quantity int
}

// ClientReport is the body of an item that reports to Sentry what was not sent.
//
// See https://develop.sentry.dev/sdk/telemetry/client-reports/
func ClientReport(discarded []Discarded, now time.Time) []byte {
	if len(discarded) == 0 {
		return nil
	}
	events := make([]any, 0, len(discarded))
	for _, d := range discarded {
		events = append(events, map[string]any{"reason": d.Reason, "category": d.Category, "quantity": d.Quantity})
	}
	return wire.Marshal(map[string]any{"timestamp": now.UTC().Format(time.RFC3339), "discarded_events": events})
}
