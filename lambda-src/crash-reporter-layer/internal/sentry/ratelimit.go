package sentry

import (
	"math"
	"net/textproto"
	"strconv"
	"strings"
	"time"
)

const defaultRetryAfter = time.Minute

// retryAfter reads how long Sentry wants no errors; 0 means no limit.
// X-Sentry-Rate-Limits may come with any status, even 200.
func retryAfter(status int, header textproto.MIMEHeader, now time.Time) time.Duration {
	if limits := header.Values("X-Sentry-Rate-Limits"); len(limits) > 0 {
		return parseRateLimits(strings.Join(limits, ","))
	}
	if status != 429 {
		return 0
	}
	value := strings.TrimSpace(header.Get("Retry-After"))
	if d, ok := seconds(value); ok {
		return d
	}
	if at, err := time.Parse(time.RFC1123, value); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return defaultRetryAfter
}

// parseRateLimits reads "retry_after:categories:scope:reason:namespaces, …" and
// returns the longest limit that covers errors. No category means all.
func parseRateLimits(value string) time.Duration {
	var longest time.Duration
	for _, limit := range strings.Split(value, ",") {
		fields := strings.Split(limit, ":")
		wait, ok := seconds(strings.TrimSpace(fields[0]))
		if !ok && strings.TrimSpace(fields[0]) == "" {
			continue
		}
		if !ok {
			wait = defaultRetryAfter
		}
		categories := ""
		if len(fields) > 1 {
			categories = strings.TrimSpace(fields[1])
		}
		covers := categories == ""
		for _, category := range strings.Split(categories, ";") {
			covers = covers || strings.EqualFold(strings.TrimSpace(category), "error")
		}
		if covers {
			longest = max(longest, wait)
		}
	}
	return longest
}

func seconds(value string) (time.Duration, bool) {
	n, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(n) || n < 0 {
		return 0, false
	}
	return time.Duration(min(n, 86400) * float64(time.Second)), true
}
