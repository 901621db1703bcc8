package config

import (
	"strings"
	"testing"
)

func load(t *testing.T, env map[string]string) (Config, []string, error) {
	t.Helper()
	return Load(func(name string) string { return env[name] })
}

func TestTheTwoVariablesOfTheOriginalAreEnough(t *testing.T) {
	c, warnings, err := load(t, map[string]string{"SENTRY_DSN": "https://k@host/1", "NODE_ENV": "staging"})
	if err != nil || len(warnings) != 0 || c.Function.Environment != "staging" || c.SampleRate != 1 || c.HandlerErrors || c.StateDir != "/tmp/.crash-reporter" {
		t.Errorf("%+v %v %v", c, warnings, err)
	}
}

func TestEnvironmentName(t *testing.T) {
	for want, env := range map[string]map[string]string{"a": {"SENTRY_ENVIRONMENT": "a", "NODE_ENV": "b"}, "b": {"NODE_ENV": "b"}, "production": {}} {
		env["SENTRY_DSN"] = "https://k@host/1"
		if c, _, _ := load(t, env); c.Function.Environment != want {
			t.Errorf("%v gives %s", env, c.Function.Environment)
		}
	}
}

func TestModes(t *testing.T) {
	for mode, want := range map[string][2]bool{"": {false, false}, "crash": {false, false}, "errors": {true, true}, "Errors": {true, true}, "x": {false, false}} {
		getenv := func(name string) string {
			return map[string]string{"SENTRY_DSN": "https://k@host/1", "CRASH_REPORTER_MODE": mode}[name]
		}
		c, _, err := Load(getenv)
		if err != nil || ErrorsMode(getenv) != want[0] || c.HandlerErrors != want[1] {
			t.Errorf("%q: registers for INVOKE %v, handler errors %v, %v", mode, ErrorsMode(getenv), c.HandlerErrors, err)
		}
	}
}

func TestErrorsNameTheVariableAndNotTheValue(t *testing.T) {
	_, _, err := load(t, map[string]string{"SENTRY_DSN": "hunter2"})
	if err == nil || !strings.Contains(err.Error(), "SENTRY_DSN") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
	if _, _, err = load(t, nil); err == nil || !strings.Contains(err.Error(), "CRASH_REPORTER_DSN_SECRET_ARN") {
		t.Errorf("%v", err)
	}
	for name, value := range map[string]string{"CRASH_REPORTER_TAGS": `{"a":{}}`, "CRASH_REPORTER_SAMPLE_RATE": "NaN", "CRASH_REPORTER_MODE": "x", "CRASH_REPORTER_BREADCRUMBS": "x", "CRASH_REPORTER_HANDLER_ERRORS": "x"} {
		c, warnings, err := load(t, map[string]string{"SENTRY_DSN": "https://k@host/1", name: value})
		if err != nil || len(warnings) != 1 || !strings.HasPrefix(warnings[0], name) || c.SampleRate != 1 {
			t.Errorf("%s: %v %v", name, warnings, err)
		}
	}
}

func TestTagsAreTextsAndBounded(t *testing.T) {
	long := strings.Repeat("x", 33)
	c, warnings, err := load(t, map[string]string{"SENTRY_DSN": "https://k@host/1", "CRASH_REPORTER_TAGS": `{"a":"b","n":1.5,"yes":true,"":"empty","` + long + `":"long"}`})
	if err != nil || len(warnings) != 0 || len(c.Function.Tags) != 3 || c.Function.Tags["a"] != "b" || c.Function.Tags["n"] != "1.5" || c.Function.Tags["yes"] != "true" {
		t.Errorf("%v %v %v", c.Function.Tags, warnings, err)
	}
}
