package crash

import (
	"fmt"
	"math"
	"strings"

	"cdk-serverless-blocks/crash-reporter/internal/stack"
)

// classify gives the report its type and value. The platform's errorType is
// not reliable: the same broken handler may arrive as Runtime.ImportModuleError,
// Runtime.ExitError or Runtime.Unknown, while the log line has the truth.
//
// In order: a failing extension, a timeout, what the runtime logged, the
// platform's own specific type, out of memory, what the function logged last,
// the bare exit, unknown. A timeout goes before the log, because in the JSON
// log format an error that was caught and logged cannot be told from the
// runtime's own line, while the timeout is certain.
func classify(r *Report, found stack.Finding) {
	r.Exit = first(r.Exit, found.Exit)
	full := r.MemorySizeMB > 0 && r.MaxMemoryUsedMB >= r.MemorySizeMB
	killed := strings.Contains(r.Exit, "signal: killed") && r.MemorySizeMB > 0 && r.MaxMemoryUsedMB >= 0.95*r.MemorySizeMB
	r.MemoryExhausted = full || killed || found.OutOfMemory || r.ErrorType == TypeOutOfMemory
	specific := r.ErrorType != "" && r.ErrorType != typeExit && r.ErrorType != typeUnknown && r.ErrorType != "Function.Unknown"
	logged := len(found.Exceptions) > 0

	switch {
	case strings.HasPrefix(r.ErrorType, "Extension.") || (r.Extension != "" && !specific && !(logged && found.Runtime)):
		r.describe(first(r.ErrorType, "Extension.Crash"))
	case r.Status == "timeout":
		r.describe(timeoutType(r.Phase))
	case logged && found.Runtime:
		r.adopt(found.Trace)
	case specific:
		r.describe(r.ErrorType)
	case r.MemoryExhausted:
		r.describe(TypeOutOfMemory)
	case logged:
		r.adopt(found.Trace)
	default:
		r.describe(first(r.ErrorType, typeUnknown))
	}
}

func timeoutType(phase string) string {
	switch phase {
	case PhaseInit:
		return TypeInitTimeout
	case PhaseRestore:
		return TypeRestoreTimeout
	}
	return TypeTimeout
}

func (r *Report) adopt(trace stack.Trace) {
	last := trace.Last()
	r.Type, r.Value = last.FullType(), last.Value
	r.Exceptions, r.Language = trace.Exceptions, trace.Language
	if r.Value == "" {
		r.Value = last.Code // an AggregateError has no message, but usually the code of its first error
	}
	if r.Value == "" {
		r.Value, r.Described = "The runtime gave no message.", true
	}
}

func (r *Report) describe(typ string) {
	r.Type, r.Value, r.Described = typ, r.sentence(typ), true
	r.Exceptions = []stack.Exception{{Type: typ, Value: r.Value}}
	if typ == TypeTimeout && r.DurationMs > 0 {
		r.TimeoutSeconds = math.Max(1, math.Round(r.DurationMs/1000))
	}
}

var sentences = map[string]string{
	"Runtime.HandlerNotFound":           "The handler function was not found in its module.",
	"Runtime.ImportModuleError":         "The handler's module could not be loaded.",
	"Runtime.UserCodeSyntaxError":       "The handler's module has a syntax error.",
	"Runtime.MalformedHandlerName":      "The handler setting is malformed.",
	"Runtime.InvalidEntrypoint":         "The entry point could not be started.",
	"Runtime.InvalidWorkingDir":         "The working directory does not exist.",
	"Runtime.UnhandledPromiseRejection": "A promise was rejected and nothing handled it.",
	"Runtime.NodeJsExit":                "The handler's promise was never settled and the event loop ran empty.",
	"Function.ResponseSizeTooLarge":     "The response is larger than Lambda allows.",
	"Sandbox.Timedout":                  "The execution environment did not start in time.",
	"Sandbox.Failure":                   "The execution environment failed.",
	"Runtime.BeforeCheckpointError":     "A hook before the SnapStart snapshot failed.",
	"Runtime.BeforeSnapshotError":       "A hook before the SnapStart snapshot failed.",
	"Runtime.AfterRestoreError":         "A hook after the SnapStart restore failed.",
	"Extension.Crash":                   "An extension exited.",
	"Extension.InitError":               "An extension could not initialize.",
	"Extension.ExitError":               "An extension reported an error and exited.",
	"Extension.LaunchError":             "An extension could not be started.",
	"Runtime.TruncatedResponse":         "The response stream ended early.",
	"Runtime.InvalidResponseModeHeader": "The runtime sent an invalid response mode.",
	"Runtime.MalformedStreamingHandler": "The streaming handler is malformed.",
	"Extension.TooManyExtensions":       "More extensions are attached than Lambda allows.",
	"Runtime.BuiltInModuleConflict":     "The handler's module has the name of a built-in module.",
	"Runtime.InvalidTaskConfig":         "The task configuration is invalid.",
	"Runtime.BadFunctionCode":           "The function's code could not be loaded.",
	"Runtime.InvokeTimeout":             "The invocation did not finish in time.",
	"Runtime.TooManyIdleRuntimes":       "Too many runtime processes were idle.",
	"Runtime.InvalidInvokeId":           "The runtime answered an unknown invocation.",
}

// sentence says in words what a type without a message means.
func (r *Report) sentence(typ string) string {
	switch typ {
	case TypeTimeout, TypeInitTimeout, TypeRestoreTimeout:
		subject := map[string]string{TypeTimeout: "The function", TypeInitTimeout: "The initialization", TypeRestoreTimeout: "The SnapStart restore"}[typ]
		if r.DurationMs <= 0 {
			return subject + " timed out"
		}
		return fmt.Sprintf("%s timed out after %.2f s", subject, r.DurationMs/1000)
	case TypeOutOfMemory:
		if r.MaxMemoryUsedMB > 0 {
			return fmt.Sprintf("The runtime ran out of memory: %.0f MB of %.0f MB used", r.MaxMemoryUsedMB, r.MemorySizeMB)
		}
		return "The runtime ran out of memory."
	case typeExit:
		if r.Exit != "" {
			return "The runtime process ended: " + r.Exit
		}
		return "The runtime process ended " + r.when() + "."
	}
	text, known := sentences[typ]
	if !known {
		text = fmt.Sprintf("Lambda reported %s %s.", typ, r.when())
	}
	if r.Extension != "" {
		text = fmt.Sprintf("The extension %q failed (%s): %s", r.Extension, first(r.ExtensionState, "no state"), text)
	}
	return text
}

func (r *Report) when() string {
	switch r.Phase {
	case PhaseInit:
		return "during initialization"
	case PhaseRestore:
		return "during the SnapStart restore"
	}
	return "during the invocation"
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
