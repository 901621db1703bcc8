package sentry

import (
	"encoding/json"
	"time"
)

// Discarded is how many crashes were not sent for one of Sentry's reasons.
type Discarded struct {
	Reason   string `json:"reason"`
	Category string `json:"category"`
	Quantity int    `json:"quantity"`
}

// ClientReport is the body of an item that tells Sentry what was not sent.
//
// See https://develop.sentry.dev/sdk/telemetry/client-reports/
func ClientReport(discarded []Discarded, now time.Time) []byte {
	if len(discarded) == 0 {
		return nil
	}
	raw, err := json.Marshal(map[string]any{"timestamp": now.UTC().Format(time.RFC3339), "discarded_events": discarded})
	if err != nil {
		return nil
	}
	return raw
}
