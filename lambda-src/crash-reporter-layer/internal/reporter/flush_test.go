package reporter

import (
	"context"
	"strings"
	"testing"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/crash"
	. "cdk-serverless-blocks/crash-reporter/internal/harness"
	"cdk-serverless-blocks/crash-reporter/internal/sentry"
)

// What an invocation in errors mode waits for: when Flush returns, the error is
// sent, even where Run took it first.
func TestFlushReturnsWhenTheErrorIsSentWhoeverSendsIt(t *testing.T) {
	const id = "6d68ca91-49c9-448d-89b8-7ca3e6dc66aa"
	post := Batch(Start(id), Log("2026-01-01T00:00:00Z\t"+id+"\tERROR\tInvoke Error \t{\"errorType\":\"Error\",\"errorMessage\":\"b\",\"stack\":[]}"), Done(id, "success", "", 5))
	for i := 0; i < 3000; i++ {
		b := newBench("/proc/nowhere")
		b.o.Tracker = crash.New(crash.Options{HandlerErrors: true})
		b.ingest.Sink = b.Reporter
		send := b.o.Send
		b.o.Send = func(ctx context.Context, dsn sentry.DSN, m sentry.Message) sentry.Result {
			b.mu.Lock()
			defer b.mu.Unlock()
			return send(ctx, dsn, m)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		go b.Run(ctx)
		go b.ingest.Read(strings.NewReader(post))
		if _, ok := b.WaitEnd(ctx, id, 0); !ok {
			t.Fatal("runtimeDone was not seen")
		}
		b.Flush(ctx)
		b.mu.Lock()
		sent := len(b.sent)
		b.mu.Unlock()
		cancel()
		if sent != 1 {
			t.Fatalf("round %d: %d sent when Flush returned, want 1", i, sent)
		}
	}
}
