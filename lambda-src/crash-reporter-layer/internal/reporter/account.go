package reporter

import (
	"context"
	"fmt"
	"strings"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/crash"
	"cdk-serverless-blocks/crash-reporter/internal/sentry"
	"cdk-serverless-blocks/crash-reporter/internal/state"
	"cdk-serverless-blocks/crash-reporter/internal/wire"
)

const (
	// maxLast is for how many kinds of crashes the last one that was held back is sent at the end.
	maxLast = 4
	// tellInterval is how long held-back crashes are summed up for a line in the log.
	tellInterval = time.Minute
	// lastReportTime is what a client report without an event needs at the end.
	lastReportTime = 400 * time.Millisecond

	metricNamespace = "CdkServerlessBlocks/CrashReporterLayer"
)

// heldBack is the last crash of its kind, with the account it is in.
type heldBack struct {
	report crash.Report
	reason state.Reason
}

// keepLast, under the lock of admit, keeps a crash that may be sent at the end, when no other event will
// count it.
func (r *Reporter) keepLast(fingerprint string, report crash.Report, reason state.Reason) {
	if reason != state.Duplicate && reason != state.Limited {
		return
	}
	if _, known := r.last[fingerprint]; known || len(r.last) < maxLast {
		r.last[fingerprint] = heldBack{report, reason}
	}
}

// closeBook is called last. It sends one more event of what was held back, and
// reports the numbers to Sentry and the log. After a failure the environment
// lives on and another process goes on with the book: then only what began in
// this process ends with it, otherwise each round of a loop of crashes would send one.
func (r *Reporter) closeBook(ctx context.Context, spindown bool) {
	r.sendMu.Lock()
	defer r.sendMu.Unlock()
	if !r.o.Ledger.Limited(r.o.Now()) && len(r.queue) == 0 {
		r.admitMu.Lock()
		for fingerprint, last := range r.last {
			if spindown || r.sentNow[fingerprint] {
				r.arrived = append(r.arrived, admitted{last.report, fingerprint, r.o.Ledger.Release(fingerprint, last.reason, r.o.Now())})
			}
		}
		r.admitMu.Unlock()
		r.deliver(ctx, shutdownSendTimeout, true)
	}
	r.reportAlone(ctx, spindown)
	kept := r.queue[:0] // what is not kept is given up: Run must not send what is counted as lost
	for _, q := range r.queue {
		if q.spooled {
			kept = append(kept, q)
		} else {
			r.o.Ledger.HoldBack("", 0, state.Network)
		}
	}
	r.queue = kept
	r.meter("")
	r.tell()
}

// reportAlone sends what has not been reported to Sentry yet, without an event.
func (r *Reporter) reportAlone(ctx context.Context, spindown bool) {
	deadline, bounded := ctx.Deadline()
	now := r.o.Now()
	if len(r.queue) > 0 || len(r.o.Ledger.Unreported()) == 0 || (bounded && time.Until(deadline) < lastReportTime) ||
		!(spindown || r.o.Ledger.ReportDue(now)) || r.o.Ledger.Limited(now) || (r.dsn == nil && !r.readDSN(ctx)) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lastReportTime)
	defer cancel()
	r.send(ctx, sentry.Message{})
}

// tellSometimes is for environments that live long.
func (r *Reporter) tellSometimes() {
	if r.o.Now().Sub(r.toldAt) >= tellInterval {
		r.tell()
	}
}

// tell puts the book of this process into one line, if anything was not sent since the last one.
func (r *Reporter) tell() {
	book := r.o.Ledger.Account()
	since := book.Since(r.told)
	if since.NotReported() <= 0 && since.Crashes <= since.Sent {
		return
	}
	r.told, r.toldAt = book, r.o.Now()
	r.o.Log(r.sentence(book.Since(r.began)))
}

func (r *Reporter) sentence(a state.Account) string {
	words := map[state.Reason]string{
		state.Duplicate: "like one that was sent", state.Limited: fmt.Sprintf("over the limit of %d a minute", r.o.PerMinute),
		state.Silenced: "while Sentry wants silence", state.Throttled: "refused for Sentry's rate limit", state.Sampled: "left out by the sample rate",
		state.Ignored: "ignored by a rule", state.Queue: "too many at once", state.Expired: "kept too long", state.Refused: "refused by Sentry",
		state.Network: "not sent and not kept", state.Lost: "lost with a killed process",
	}
	parts := []string{fmt.Sprintf("%d crashes", a.Crashes), fmt.Sprintf("%d sent", a.Sent)}
	if a.Crashes == 1 {
		parts[0] = "1 crash"
	}
	for _, reason := range state.Reasons {
		if n := a.HeldBack[reason]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, words[reason]))
		}
	}
	if n := a.Waiting(); n > 0 {
		parts = append(parts, fmt.Sprintf("%d kept for the next try", n))
	}
	return strings.Join(parts, ", ")
}

// meter writes what happened since the last time as CloudWatch metrics, in the
// embedded metric format: one line, not redacted. It is called where a crash is
// entered in the book and where one is given up. kind is a crash's type, if known.
func (r *Reporter) meter(kind string) {
	if !r.o.Metrics {
		return
	}
	r.meterMu.Lock()
	defer r.meterMu.Unlock()
	book := r.o.Ledger.Account()
	since := book.Since(r.metered)
	notReported, undelivered := since.NotReported(), since.Undelivered()
	if since.Crashes == 0 && notReported <= 0 {
		return
	}
	r.metered = book
	// A crash that was held back was sent after all; a count cannot be negative, so the next one makes up for
	// it.
	if notReported < 0 {
		r.metered.HeldBack[state.Duplicate] -= notReported
	}
	dimensions := [][]string{{"FunctionName"}}
	line := map[string]any{"FunctionName": r.o.Function().Name, "Crashes": since.Crashes, "NotReported": max(notReported, 0), "Undelivered": max(undelivered, 0)}
	if kind != "" {
		line["type"] = kind
	}
	if r.o.Name != "" {
		dimensions = append(dimensions, []string{"Reporter"})
		line["Reporter"] = r.o.Name
	}
	var metrics []any
	for _, name := range []string{"Crashes", "NotReported", "Undelivered"} {
		metrics = append(metrics, map[string]string{"Name": name, "Unit": "Count"})
	}
	line["_aws"] = map[string]any{"Timestamp": r.o.Now().UnixMilli(),
		"CloudWatchMetrics": []any{map[string]any{"Namespace": metricNamespace, "Dimensions": dimensions, "Metrics": metrics}}}
	r.o.Print(string(wire.Marshal(line)))
}

var sentryReasons = map[state.Reason]string{
	state.Duplicate: "event_processor", state.Ignored: "event_processor", state.Limited: "queue_overflow", state.Queue: "queue_overflow",
	state.Silenced: "ratelimit_backoff", state.Sampled: "sample_rate", state.Expired: "cache_overflow", state.Refused: "send_error",
	state.Network: "network_error", state.Lost: "internal_sdk_error",
}

func clientReport(unreported map[state.Reason]int, now time.Time) []byte {
	quantities := map[string]int{}
	for reason, n := range unreported {
		quantities[sentryReasons[reason]] += n
	}
	var discarded []sentry.Discarded
	for _, reason := range []string{"event_processor", "queue_overflow", "ratelimit_backoff", "sample_rate", "cache_overflow", "send_error", "network_error", "internal_sdk_error"} {
		if quantities[reason] > 0 {
			discarded = append(discarded, sentry.Discarded{Reason: reason, Category: "error", Quantity: quantities[reason]})
		}
	}
	return sentry.ClientReport(discarded, now)
}
