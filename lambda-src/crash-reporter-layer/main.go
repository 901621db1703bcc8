// Command crash-reporter is a Lambda extension that reports every crash of a
// function to Sentry, in any runtime, and can never hurt the function.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/awsapi"
	"cdk-serverless-blocks/crash-reporter/internal/config"
	"cdk-serverless-blocks/crash-reporter/internal/crash"
	"cdk-serverless-blocks/crash-reporter/internal/extension"
	"cdk-serverless-blocks/crash-reporter/internal/http1"
	"cdk-serverless-blocks/crash-reporter/internal/redact"
	"cdk-serverless-blocks/crash-reporter/internal/reporter"
	"cdk-serverless-blocks/crash-reporter/internal/safe"
	"cdk-serverless-blocks/crash-reporter/internal/sentry"
	"cdk-serverless-blocks/crash-reporter/internal/source"
	"cdk-serverless-blocks/crash-reporter/internal/state"
	"cdk-serverless-blocks/crash-reporter/internal/telemetry"
)

// A function of 128 MB shares its memory with this process: when the
// out-of-memory killer has to choose, small is safe.
const (
	memoryLimit    = 20 << 20
	gcPercent      = 50
	connectTimeout = 500 * time.Millisecond
)

func main() {
	api := &extension.API{Host: os.Getenv("AWS_LAMBDA_RUNTIME_API"), Name: filepath.Base(os.Args[0])}
	errorsMode := config.ErrorsMode(os.Getenv)
	events := []string{"SHUTDOWN"}
	if errorsMode {
		events = []string{"INVOKE", "SHUTDOWN"}
	}
	// First of all: Lambda starts the runtime only when every extension has registered.
	registration, err := api.Register(context.Background(), events)
	if err != nil {
		log("cannot register: " + err.Error())
		os.Exit(1)
	}
	handler := &handler{}
	if text := safe.Do(func() { tune(); handler.reporter = start(api, registration) }); text != "" {
		log(text + "; staying idle")
	}
	if errorsMode && handler.reporter != nil {
		handler.gate = &extension.Gate{Telemetry: handler.reporter, Log: log}
	}
	for ended := false; !ended; {
		if text := safe.Do(func() { api.Run(context.Background(), handler, log); ended = true }); text != "" {
			log(text)
			handler.reporter, handler.gate = nil, nil
		}
	}
}

func tune() {
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(memoryLimit)
}

// start makes the reporter and subscribes to telemetry. It returns nil, after
// one line in the log, when nothing can be reported: the extension then idles.
func start(api *extension.API, registration extension.Registration) *reporter.Reporter {
	cfg, warnings, err := config.Load(os.Getenv)
	if err != nil {
		log(err.Error() + "; staying idle")
		return nil
	}
	for _, warning := range warnings {
		log(warning)
	}
	cfg.Function.Handler, cfg.Function.AccountID = registration.Handler, registration.AccountID
	if cfg.Function.Name == "" {
		cfg.Function.Name = registration.FunctionName
	}
	r := newReporter(cfg, api.Name)
	if err := listen(api, cfg.ListenHost, r); err != nil {
		if !errors.Is(err, extension.ErrNoTelemetry) {
			log("cannot subscribe to telemetry: " + err.Error() + "; staying idle")
		}
		return nil
	}
	safe.Go(func() { r.Run(context.Background()) }, log)
	return r
}

func newReporter(cfg config.Config, self string) *reporter.Reporter {
	client := &http1.Client{ConnectTimeout: connectTimeout, Proxy: http1.ProxyFromEnv(os.Getenv), TLS: sentry.TLSConfig}
	transport := &sentry.Transport{HTTP: client, Now: time.Now}
	fn := cfg.Function
	redactor := redact.New(os.Environ(), cfg.Redact, []string{fn.Name, fn.Handler, fn.Region, fn.Environment, fn.Release, os.Getenv("AWS_EXECUTION_ENV")})
	return reporter.New(reporter.Options{
		Tracker: crash.New(crash.Options{Self: self, HandlerErrors: cfg.HandlerErrors, Breadcrumbs: cfg.Breadcrumbs,
			OwnFailure: func(state, errorType string) { log("Lambda reports this extension as " + state + " " + errorType) }}),
		Ledger:      state.OpenLedger(cfg.StateDir, state.Limits{PerMinute: cfg.PerMinute, Window: cfg.Window}, time.Now()),
		Spool:       state.OpenSpool(cfg.StateDir),
		Redactor:    redactor,
		DSN:         dsnSource(cfg, &awsapi.Reader{HTTP: client, Getenv: os.Getenv, Now: time.Now}, redactor),
		Send:        transport.Send,
		Function:    func() sentry.Function { return cfg.Function },
		DSNIsStored: cfg.DSN == "",
		SampleRate:  cfg.SampleRate,
		Ignore:      cfg.Ignore,
		Source:      sourceOf(cfg),
		PerMinute:   cfg.PerMinute,
		Metrics:     cfg.Metrics,
		Name:        cfg.Name,
		Now:         time.Now,
		Log:         log,
		Print:       func(line string) { fmt.Println(line) },
	})
}

// sourceOf opens the function's folder when the first crash needs it.
func sourceOf(cfg config.Config) func(*crash.Report, time.Duration) {
	if !cfg.Source {
		return nil
	}
	files := sync.OnceValue(func() *source.Files { return source.Open(cfg.TaskRoot) })
	return func(report *crash.Report, limit time.Duration) {
		report.Images = files().Enrich(report.Exceptions, report.Language, limit)
	}
}

// dsnSource reads the DSN when the first crash needs it, so that healthy starts
// make no call to AWS.
func dsnSource(cfg config.Config, reader *awsapi.Reader, redactor *redact.Redactor) reporter.DSNSource {
	return func(ctx context.Context) (sentry.DSN, error) {
		raw := cfg.DSN
		var err error
		switch {
		case raw != "":
		case cfg.SecretARN != "":
			raw, err = reader.Secret(ctx, cfg.SecretARN, cfg.SecretField)
		default:
			raw, err = reader.Parameter(ctx, cfg.Parameter)
		}
		if err != nil {
			return sentry.DSN{}, err
		}
		redactor.Add(raw)
		return sentry.ParseDSN(raw)
	}
}

// listen binds a free port, so that it collides with no other extension, and subscribes.
func listen(api *extension.API, host string, sink *reporter.Reporter) error {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return err
	}
	ingest := &telemetry.Ingest{Sink: sink, Now: time.Now}
	safe.Go(func() { _ = http1.Serve(listener, func(body io.Reader) { ingest.Read(sink.Hears(body)) }) }, log)
	port := listener.Addr().(*net.TCPAddr).Port
	if err := api.Subscribe(context.Background(), port); err != nil {
		listener.Close()
		return err
	}
	return nil
}

// handler connects Lambda's events with the reporter, which is nil when idle.
type handler struct {
	reporter *reporter.Reporter
	gate     *extension.Gate // in errors mode
}

// Invoke holds the environment until the runtime is done and its errors are
// sent; without it they would be frozen until the next invocation.
func (h *handler) Invoke(ctx context.Context, requestID string) {
	if h.gate == nil {
		return
	}
	if text := safe.Do(func() { h.gate.Hold(ctx, requestID) }); text != "" {
		log(text)
	}
}

func (h *handler) Shutdown(reason string, budget time.Duration) {
	if h.reporter == nil {
		return
	}
	if text := safe.Do(func() { h.reporter.Shutdown(reason, budget) }); text != "" {
		log(text)
	}
}

func log(text string) {
	fmt.Println("crash-reporter: " + text)
}
