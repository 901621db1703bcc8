// Package config reads the environment variables. Only main hands it the
// environment.
package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/awsapi"
	"cdk-serverless-blocks/crash-reporter/internal/crash"
	"cdk-serverless-blocks/crash-reporter/internal/sentry"
	"cdk-serverless-blocks/crash-reporter/internal/wire"
)

// Names of the environment variables.
const (
	envDSN           = "CRASH_REPORTER_DSN"
	envSDKDSN        = "SENTRY_DSN" // belongs to an SDK in the function; read where there is no other
	envSecretARN     = "CRASH_REPORTER_DSN_SECRET_ARN"
	envSecretField   = "CRASH_REPORTER_DSN_SECRET_FIELD"
	envParameter     = "CRASH_REPORTER_DSN_PARAMETER_NAME"
	envEnvironment   = "CRASH_REPORTER_ENVIRONMENT"
	envRelease       = "CRASH_REPORTER_RELEASE"
	envDist          = "CRASH_REPORTER_DIST"
	envGroup         = "CRASH_REPORTER_GROUP"
	envSource        = "CRASH_REPORTER_SOURCE"
	envMode          = "CRASH_REPORTER_MODE"
	envHandlerErrors = "CRASH_REPORTER_HANDLER_ERRORS"
	envTags          = "CRASH_REPORTER_TAGS"
	envSampleRate    = "CRASH_REPORTER_SAMPLE_RATE"
	envRedact        = "CRASH_REPORTER_REDACT"
	envBreadcrumbs   = "CRASH_REPORTER_BREADCRUMBS"
	envPerMinute     = "CRASH_REPORTER_MAX_REPORTS_PER_MINUTE"
	envWindow        = "CRASH_REPORTER_SAME_CRASH_WINDOW"
	envIgnore        = "CRASH_REPORTER_IGNORE"
	envMetrics       = "CRASH_REPORTER_METRICS"
	envName          = "CRASH_REPORTER_NAME"
	envLogGroup      = "CRASH_REPORTER_LOG_GROUP"
	envTaskRoot      = "CRASH_REPORTER_TASK_ROOT"
	envStateDir      = "CRASH_REPORTER_STATE_DIR"
	envListenHost    = "CRASH_REPORTER_LISTEN_HOST"
)

// Config is what the user chose.
type Config struct {
	DSN           string
	SecretARN     string
	SecretField   string
	Parameter     string
	HandlerErrors bool
	Breadcrumbs   bool
	SampleRate    float64
	PerMinute     int
	Window        time.Duration
	Ignore        []crash.IgnoreRule
	Metrics       bool
	// Name is the reporter's, the same for all functions that it is attached to.
	Name       string
	Source     bool
	TaskRoot   string
	Redact     []string
	StateDir   string
	ListenHost string
	Function   sentry.Function
}

// ErrorsMode says whether to register for INVOKE. It is the one thing that
// must be known before registering.
func ErrorsMode(getenv func(string) string) bool {
	return strings.EqualFold(strings.TrimSpace(getenv(envMode)), "errors") && !Managed(getenv)
}

// Managed: Lambda Managed Instances refuse INVOKE registrations.
func Managed(getenv func(string) string) bool {
	return getenv("AWS_LAMBDA_INITIALIZATION_TYPE") == "lambda-managed-instances"
}

// Load reads the configuration. An error means that nothing can be reported at
// all; warnings are for values that were replaced by their defaults.
func Load(getenv func(string) string) (c Config, warnings []string, err error) {
	warn := func(name, want string) {
		warnings = append(warnings, fmt.Sprintf("%s must be %s; it is ignored", name, want))
	}
	c = Config{DSN: strings.TrimSpace(getenv(envDSN)), SecretARN: getenv(envSecretARN), SecretField: getenv(envSecretField),
		Parameter: getenv(envParameter), SampleRate: 1, StateDir: or(getenv(envStateDir), "/tmp/.crash-reporter"),
		// Lambda delivers from within the same network namespace, to an address that
		// is not the loopback; nothing outside can reach it.
		ListenHost: or(getenv(envListenHost), "0.0.0.0")}
	dsnFrom := envDSN
	if c.DSN == "" && c.SecretARN == "" && c.Parameter == "" {
		c.DSN, dsnFrom = strings.TrimSpace(getenv(envSDKDSN)), envSDKDSN
	}
	switch {
	case c.DSN != "":
		if _, err := sentry.ParseDSN(c.DSN); err != nil {
			return c, nil, fmt.Errorf("%s: %w", dsnFrom, err)
		}
	case c.SecretARN == "" && c.Parameter == "":
		return c, nil, fmt.Errorf("none of %s, %s, %s and %s is set", envDSN, envSecretARN, envParameter, envSDKDSN)
	}
	mode := strings.ToLower(strings.TrimSpace(getenv(envMode)))
	if mode != "" && mode != "crash" && mode != "errors" {
		warn(envMode, "crash or errors")
	}
	c.HandlerErrors = mode == "errors"
	boolean(getenv, envHandlerErrors, &c.HandlerErrors, warn)
	c.TaskRoot = or(getenv(envTaskRoot), "/var/task")
	c.Source = !strings.EqualFold(getenv(envSource), "off")
	boolean(getenv, envBreadcrumbs, &c.Breadcrumbs, warn)
	if raw := getenv(envSampleRate); raw != "" {
		rate, err := strconv.ParseFloat(raw, 64)
		if err == nil && rate >= 0 && rate <= 1 {
			c.SampleRate = rate
		} else {
			warn(envSampleRate, "a number from 0 to 1")
		}
	}
	boolean(getenv, envMetrics, &c.Metrics, warn)
	c.Name = getenv(envName)
	c.PerMinute = integer(getenv, envPerMinute, 10, 1, 60, warn)
	c.Window = time.Duration(integer(getenv, envWindow, 60, 0, 86400, warn)) * time.Second
	var ok bool
	if c.Ignore, ok = ignoreRules(getenv(envIgnore)); !ok {
		warn(envIgnore, `a JSON list of rules, such as [{"type":"AbortError"},{"message":"socket hang up*"}]`)
	}
	for _, name := range strings.FieldsFunc(getenv(envRedact), func(r rune) bool { return r == ',' || r == ' ' }) {
		c.Redact = append(c.Redact, name)
	}
	c.Function = function(getenv, warn)
	if raw := getenv(envTags); raw != "" {
		if c.Function.Tags, ok = tags(raw); !ok {
			warn(envTags, `a JSON object of strings, such as {"team":"billing"}`)
		}
	}
	return c, warnings, nil
}

func function(getenv func(string) string, warn func(string, string)) sentry.Function {
	region := getenv("AWS_REGION")
	partition := awsapi.PartitionOf(region)
	name := getenv("AWS_LAMBDA_FUNCTION_NAME")
	memory, _ := strconv.Atoi(getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"))
	return sentry.Function{
		Name: name, Version: getenv("AWS_LAMBDA_FUNCTION_VERSION"), MemoryMB: memory,
		Region: region, Partition: partition.ID, ConsoleDomain: partition.ConsoleDomain,
		LogGroup:    or(getenv(envLogGroup), "/aws/lambda/"+name),
		Group:       getenv(envGroup),
		Environment: or(named(getenv, environmentRule, warn, envEnvironment, "SENTRY_ENVIRONMENT", "NODE_ENV"), "production"),
		Release:     named(getenv, releaseRule, warn, envRelease, "SENTRY_RELEASE"),
		Dist:        named(getenv, distRule, warn, envDist, "SENTRY_DIST"),
	}
}

// nameRule is what Sentry accepts; an event with another name arrives without it.
type nameRule struct {
	most      int
	forbidden string
	reserved  []string
	words     string
}

var (
	environmentRule = nameRule{64, "/ \n\r\t", []string{".", "..", "none"}, "a name of 1 to 64 characters without a slash or space"}
	releaseRule     = nameRule{200, "/\\\n\r\t", []string{".", "..", "latest"}, "a name of 1 to 200 characters without a slash, backslash or line break"}
	distRule        = nameRule{64, "/ \n\r\t", nil, "a name of 1 to 64 characters without a slash or space"}
)

// named is the first variable that is set, if Sentry accepts its value.
func named(getenv func(string) string, rule nameRule, warn func(string, string), names ...string) string {
	for _, name := range names {
		value := strings.TrimSpace(getenv(name))
		if value == "" {
			continue
		}
		ok := len(value) <= rule.most && !strings.ContainsAny(value, rule.forbidden)
		for _, reserved := range rule.reserved {
			ok = ok && !strings.EqualFold(value, reserved)
		}
		if ok {
			return value
		}
		warn(name, rule.words)
	}
	return ""
}

const maxTags = 50

func tags(raw string) (map[string]string, bool) {
	parsed, _ := wire.Parse([]byte(raw))
	values, ok := parsed.(map[string]any)
	if !ok {
		return nil, false
	}
	out := map[string]string{}
	for key, value := range values {
		switch value.(type) {
		case string, float64, bool:
			if key == "" || len(key) > 32 || len(out) >= maxTags {
				continue
			}
			out[key] = fmt.Sprint(value)
		default:
			return nil, false
		}
	}
	return out, true
}

func ignoreRules(raw string) (rules []crash.IgnoreRule, ok bool) {
	if raw == "" {
		return nil, true
	}
	list, ok := wire.Array([]byte(raw))
	for _, element := range list {
		rule := wire.Object(element)
		if rule == nil {
			return nil, false
		}
		rules = append(rules, crash.IgnoreRule{Type: wire.String(rule["type"]), Message: wire.String(rule["message"])})
	}
	return rules, ok
}

func boolean(getenv func(string) string, name string, into *bool, warn func(string, string)) {
	switch strings.ToLower(getenv(name)) {
	case "":
	case "true", "1":
		*into = true
	case "false", "0":
		*into = false
	default:
		warn(name, "true or false")
	}
}

func integer(getenv func(string) string, name string, missing, least, most int, warn func(string, string)) int {
	raw := strings.TrimSpace(getenv(name))
	if raw == "" {
		return missing
	}
	n, err := strconv.Atoi(raw)
	if err != nil || n < least || n > most {
		warn(name, fmt.Sprintf("a whole number from %d to %d", least, most))
		return missing
	}
	return n
}

func or(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
