// Package crash decides from telemetry what crashed and when to say so. One
// crash shows up as many signals (init and invoke phase, platform status, log
// lines, the shutdown reason); a Tracker merges them into one Report. It is
// pure: every method takes the time, nothing here waits or sends.
package crash

import (
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/stack"
)

// Phases of an execution environment's life in which a crash can happen.
const (
	PhaseInit    = "init"
	PhaseInvoke  = "invoke"
	PhaseRestore = "restore"
)

// Types this extension gives where the platform has none.
const (
	TypeTimeout        = "Function.Timeout"
	TypeInitTimeout    = "Function.InitTimeout"
	TypeRestoreTimeout = "Function.RestoreTimeout"
	TypeOutOfMemory    = "Runtime.OutOfMemory"
	typeExit           = "Runtime.ExitError"
	typeUnknown        = "Runtime.Unknown"
)

// Environment is what telemetry says about the execution environment.
type Environment struct {
	Runtime    string // "nodejs:20.v22"
	InstanceID string
	InitType   string
	Version    string
}

// Crumb is a log line that came before the crash.
type Crumb struct {
	Time time.Time
	Text string
}

// Report is one crash.
type Report struct {
	Time  time.Time
	Type  string
	Value string
	// Described: Value was written by this extension and is not a fact about the error.
	Described bool
	// Exception: the handler failed, the process lived on.
	Exception  bool
	Exceptions []stack.Exception // the first cause first; Type and Value are the last one's
	Language   string

	Phase string
	// InitRetry: the environment was starting for the second time, for an invocation.
	InitRetry bool
	RequestID string
	Trace     string // X-Amzn-Trace-Id
	SpanID    string

	Status         string
	ErrorType      string // the platform's
	Exit           string // "signal: killed"
	ShutdownReason string
	Extension      string // the other extension that failed
	ExtensionState string

	DurationMs      float64
	TimeoutSeconds  float64
	MemorySizeMB    float64
	MaxMemoryUsedMB float64
	MemoryExhausted bool
	LogsDropped     float64
	ReportsDropped  int

	Environment Environment
	Crumbs      []Crumb
	Images      []stack.DebugImage
}
