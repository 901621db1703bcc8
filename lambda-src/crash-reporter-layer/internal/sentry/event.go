package sentry

import (
	"fmt"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/crash"
	"cdk-serverless-blocks/crash-reporter/internal/stack"
	"cdk-serverless-blocks/crash-reporter/internal/wire"
)

// Name and Version identify this client to Sentry.
const (
	Name    = "crash-reporter.lambda"
	Version = "1.0.0"
	Client  = Name + "/" + Version
)

const (
	taskRoot = "/var/task/"
	maxTag   = 199
	// maxGenerated frames of the code that ran are sent beside the mapped ones.
	maxGenerated = 12
)

// Function is what every event says about where it happened.
type Function struct {
	Name          string
	Version       string
	Handler       string
	AccountID     string
	Region        string
	Partition     string
	ConsoleDomain string
	LogGroup      string
	MemoryMB      int
	Environment   string
	Release       string
	Dist          string
	// Group tells the function's crashes from others', in every stage alike; the name where it is empty.
	Group string
	Tags  map[string]string
}

// BuildEvent makes Sentry's event of a report. suppressed is how many crashes
// like it were not sent.
func BuildEvent(id string, fn Function, r crash.Report, suppressed int) map[string]any {
	event := map[string]any{
		"event_id":    id,
		"timestamp":   r.Time.UTC().Format("2006-01-02T15:04:05.000Z"),
		"platform":    platform(r),
		"level":       level(r),
		"logger":      "crash-reporter",
		"transaction": fn.Name,
		"server_name": fn.Name,
		"environment": fn.Environment,
		"sdk":         map[string]any{"name": Name, "version": Version},
		"exception":   map[string]any{"values": exceptions(r)},
		"tags":        tags(fn, r, suppressed),
		"contexts":    contexts(fn, r),
		"extra":       extras(fn, r, suppressed),
		"fingerprint": groupBy(fn, r),
	}
	if fn.Release != "" {
		event["release"] = fn.Release
	}
	if fn.Dist != "" {
		event["dist"] = fn.Dist
	}
	if len(r.Crumbs) > 0 {
		event["breadcrumbs"] = map[string]any{"values": breadcrumbs(r.Crumbs)}
	}
	if len(r.Images) > 0 {
		event["debug_meta"] = map[string]any{"images": images(r.Images)}
	}
	return event
}

func images(in []stack.DebugImage) []any {
	out := make([]any, 0, len(in))
	for _, image := range in {
		out = append(out, map[string]any{"type": "sourcemap", "code_file": image.CodeFile, "debug_id": image.DebugID})
	}
	return out
}

func level(r crash.Report) string {
	if r.Exception {
		return "error"
	}
	return "fatal"
}

// platform says how Sentry shows the frames.
func platform(r crash.Report) string {
	if r.Language != "" {
		return r.Language
	}
	name, _, _ := strings.Cut(r.Environment.Runtime, ":")
	for prefix, platform := range map[string]string{"nodejs": stack.Node, "python": stack.Python, "java": stack.Java,
		"ruby": stack.Ruby, "dotnet": stack.DotNet, "go": stack.Go} {
		if strings.HasPrefix(name, prefix) {
			return platform
		}
	}
	return "other"
}

// groupBy: the same bug is one issue. An error groups by its stack, within its
// function. Our own sentences hold durations, so they must not take part; and some
// causes come with a log line or without, depending on the signal.
func groupBy(fn Function, r crash.Report) []string {
	group := fn.Group
	if group == "" {
		group = fn.Name
	}
	switch {
	case r.Type == "Runtime.ImportModuleError":
		parts := []string{"aws-lambda", group, r.Type}
		if module := missingModule(r.Value); module != "" && !r.Described {
			parts = append(parts, module)
		}
		return parts
	case !r.Described && r.Type != "Runtime.HandlerNotFound" && r.Type != "Runtime.MalformedHandlerName":
		return []string{"{{ default }}", group}
	}
	parts := []string{"aws-lambda", group, r.Type}
	if r.Extension != "" {
		parts = append(parts, r.Extension)
	}
	return parts
}

// missingModule reads "Cannot find module 'x'" and "No module named 'x'".
func missingModule(text string) string {
	for _, words := range []string{"Cannot find module '", "Cannot find package '", "No module named '"} {
		if _, rest, ok := strings.Cut(text, words); ok {
			module, _, _ := strings.Cut(rest, "'")
			return stack.Clip(module, maxTag)
		}
	}
	return ""
}

// exceptions has the causes first and the error itself last. Where it is made of
// others, each says by number whose part or cause it is.
func exceptions(r crash.Report) []any {
	values := make([]any, 0, len(r.Exceptions))
	group := len(r.Exceptions) > 0 && r.Exceptions[0].Member
	for i, e := range r.Exceptions {
		last := i == len(r.Exceptions)-1
		value := map[string]any{"type": e.Type, "value": e.Value}
		mechanism := map[string]any{"type": "chained", "handled": false}
		if last {
			value["value"] = r.Value
			data := map[string]any{"phase": r.Phase}
			if r.Status != "" {
				data["status"] = r.Status
			}
			mechanism["type"], mechanism["data"] = "aws_lambda", data
		}
		if group {
			mechanism["exception_id"] = len(r.Exceptions) - 1 - i
			switch {
			case last:
				mechanism["is_exception_group"] = true
			case e.Member:
				mechanism["parent_id"] = 0
				mechanism["source"] = fmt.Sprintf("errors[%d]", i)
			default: // causes stand in front of what they caused
				mechanism["parent_id"] = len(r.Exceptions) - 2 - i
				mechanism["source"] = "cause"
			}
		}
		value["mechanism"] = mechanism
		if e.Module != "" {
			value["module"] = e.Module
		}
		if list := frames(e.Frames); len(list) > 0 { // an empty list is invalid
			value["stacktrace"] = map[string]any{"frames": list}
		}
		values = append(values, value)
	}
	return values
}

func frames(in []stack.Frame) []any {
	out := make([]any, 0, len(in))
	for _, f := range in {
		frame := map[string]any{"in_app": f.InApp}
		set(frame, "function", f.Function)
		set(frame, "module", f.Module)
		set(frame, "filename", strings.TrimPrefix(f.Path, taskRoot))
		if strings.HasPrefix(f.Path, "/") {
			frame["abs_path"] = f.Path
		}
		set(frame, "context_line", f.Source)
		set(frame, "raw_function", f.RawFunction)
		if len(f.Pre) > 0 {
			frame["pre_context"] = f.Pre
		}
		if len(f.Post) > 0 {
			frame["post_context"] = f.Post
		}
		if f.Line > 0 {
			frame["lineno"] = f.Line
		}
		if f.Column > 0 {
			frame["colno"] = f.Column
		}
		out = append(out, frame)
	}
	return out
}

func tags(fn Function, r crash.Report, suppressed int) map[string]string {
	tags := map[string]string{}
	for key, value := range fn.Tags {
		tags[key] = stack.Clip(value, maxTag)
	}
	add := func(key, value string) {
		if value != "" {
			tags[key] = stack.Clip(value, maxTag)
		}
	}
	add("lambda.error_type", r.Type)
	add("lambda.platform_error_type", r.ErrorType)
	add("lambda.phase", r.Phase)
	add("phase", r.Phase)
	add("lambda.status", r.Status)
	add("lambda.function", fn.Name)
	add("lambda.construct", fn.Group)
	add("lambda.region", fn.Region)
	add("lambda.runtime", r.Environment.Runtime)
	add("lambda.extension", r.Extension)
	if n := len(r.Exceptions); n > 0 {
		add("error.code", r.Exceptions[n-1].Code)
	}
	if r.MemoryExhausted {
		add("lambda.memory_exhausted", "true")
	}
	if suppressed > 0 {
		add("lambda.suppressed", strconv.Itoa(suppressed))
	}
	return tags
}

func contexts(fn Function, r crash.Report) map[string]any {
	cloud := map[string]any{"cloud.provider": "aws", "cloud.platform": "aws_lambda"}
	set(cloud, "cloud.region", fn.Region)
	set(cloud, "cloud.account.id", fn.AccountID)
	set(cloud, "host.id", r.Environment.InstanceID)

	lambda := map[string]any{"type": "aws.lambda", "function_name": fn.Name}
	set(lambda, "function_version", fn.Version)
	set(lambda, "handler", fn.Handler)
	set(lambda, "aws_request_id", r.RequestID)
	set(lambda, "initialization_type", r.Environment.InitType)
	set(lambda, "exit", r.Exit)
	set(lambda, "shutdown_reason", r.ShutdownReason)
	if fn.AccountID != "" && fn.Region != "" {
		lambda["invoked_function_arn"] = fmt.Sprintf("arn:%s:lambda:%s:%s:function:%s", fn.Partition, fn.Region, fn.AccountID, fn.Name)
	}
	measure(lambda, "duration_ms", r.DurationMs)
	measure(lambda, "timeout_s", r.TimeoutSeconds)
	measure(lambda, "max_memory_used_mb", r.MaxMemoryUsedMB)
	memory := r.MemorySizeMB
	if memory == 0 {
		memory = float64(fn.MemoryMB)
	}
	measure(lambda, "memory_size_mb", memory)
	measure(lambda, "logs_dropped", r.LogsDropped)
	measure(lambda, "reports_dropped", float64(r.ReportsDropped))

	contexts := map[string]any{"cloud_resource": cloud, "aws.lambda": lambda}
	if name, version, ok := strings.Cut(r.Environment.Runtime, ":"); ok || name != "" {
		rt := map[string]any{"name": name}
		set(rt, "version", version)
		contexts["runtime"] = rt
	}
	device := map[string]any{"arch": map[string]string{"amd64": "x86_64"}[runtime.GOARCH]}
	if device["arch"] == "" {
		device["arch"] = runtime.GOARCH
	}
	if memory > 0 {
		device["memory_size"] = int64(memory) << 20
	}
	contexts["device"] = device
	if trace := traceContext(r); trace != nil {
		contexts["trace"] = trace
	}
	return contexts
}

// traceContext turns X-Ray's "Root=1-<8 hex>-<24 hex>;Parent=<16 hex>" into ids Sentry can join.
func traceContext(r crash.Report) map[string]any {
	fields := map[string]string{}
	for _, part := range strings.Split(r.Trace, ";") {
		key, value, _ := strings.Cut(part, "=")
		fields[strings.TrimSpace(key)] = value
	}
	root := strings.Split(fields["Root"], "-")
	if len(root) != 3 || !isHex(root[1]+root[2], 32) {
		return nil
	}
	trace := map[string]any{"trace_id": root[1] + root[2], "op": "function.aws"}
	span, parent := r.SpanID, fields["Parent"]
	if !isHex(span, 16) {
		span, parent = parent, ""
	}
	if !isHex(span, 16) {
		return nil
	}
	trace["span_id"] = span
	if isHex(parent, 16) {
		trace["parent_span_id"] = parent
	}
	return trace
}

func isHex(s string, n int) bool { return len(s) == n && strings.Trim(s, "0123456789abcdef") == "" }

func extras(fn Function, r crash.Report, suppressed int) map[string]any {
	extras := map[string]any{"lambda": extra(fn, r, suppressed)}
	if n := len(r.Exceptions); n > 0 && len(r.Exceptions[n-1].Properties) > 0 {
		extras["error"] = r.Exceptions[n-1].Properties
	}
	if n := len(r.Exceptions); n > 0 && len(r.Exceptions[n-1].RawFrames) > 0 {
		extras["generated"] = generated(r.Exceptions[n-1].RawFrames)
	}
	return extras
}

// generated is where the code that ran failed, innermost first. The field
// raw_stacktrace would be the place for it, but Sentry's published schema has
// none, and a server that validates would throw the event away.
func generated(frames []stack.Frame) []string {
	var lines []string
	for i := len(frames) - 1; i >= 0 && len(lines) < maxGenerated; i-- {
		if f := frames[i]; f.InApp {
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s:%d:%d", f.Function, strings.TrimPrefix(f.Path, taskRoot), f.Line, f.Column)))
		}
	}
	return lines
}

func extra(fn Function, r crash.Report, suppressed int) map[string]any {
	extra := map[string]any{"log_group": fn.LogGroup}
	set(extra, "request_id", r.RequestID)
	if suppressed > 0 {
		extra["suppressed"] = suppressed
	}
	if fn.Region == "" {
		return extra
	}
	base := fmt.Sprintf("https://%s.%s/cloudwatch/home?region=%s#logsV2:log-groups/log-group/%s", fn.Region, fn.ConsoleDomain, fn.Region, consoleEscape(fn.LogGroup))
	if r.Environment.InstanceID != "" {
		// Lambda does not show the stream's name to extensions; it is made of these parts.
		version := r.Environment.Version
		if version == "" {
			version = fn.Version
		}
		stream := fmt.Sprintf("%s/[%s]%s", r.Time.UTC().Format("2006/01/02"), version, strings.ReplaceAll(r.Environment.InstanceID, "-", ""))
		extra["log_stream"] = stream
		extra["log_stream_url"] = base + "/log-events/" + consoleEscape(stream)
	}
	search := base + "/log-events"
	if r.RequestID != "" {
		search += consoleEscape("?filterPattern=" + `"` + r.RequestID + `"`)
	}
	extra["log_search_url"] = search
	return extra
}

// consoleEscape is the CloudWatch console's own escaping within the fragment:
// URL escaping twice, with $ for %.
func consoleEscape(s string) string {
	if strings.HasPrefix(s, "?") {
		key, value, _ := strings.Cut(s[1:], "=")
		return "$3F" + key + "$3D" + strings.ReplaceAll(url.QueryEscape(url.QueryEscape(value)), "%", "$")
	}
	return strings.ReplaceAll(url.QueryEscape(url.QueryEscape(s)), "%", "$")
}

func breadcrumbs(crumbs []crash.Crumb) []any {
	values := make([]any, 0, len(crumbs))
	for _, c := range crumbs {
		values = append(values, map[string]any{"timestamp": c.Time.UTC().Format(time.RFC3339Nano), "type": "default", "category": "log", "message": c.Text})
	}
	return values
}

func set(m map[string]any, key, value string) {
	if value != "" {
		m[key] = value
	}
}

func measure(m map[string]any, key string, value float64) {
	if value > 0 {
		m[key] = value
	}
}

// Encode makes the payload of an event.
func Encode(event map[string]any) []byte { return wire.Marshal(event) }
