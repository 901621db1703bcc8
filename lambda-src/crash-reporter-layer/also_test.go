package main

import (
	"debug/elf"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	. "cdk-serverless-blocks/crash-reporter/internal/harness"
)

func TestAlsoDSNWithPathPrefixAndSecret(t *testing.T) {
	t.Parallel()
	sink := NewSink(t, false)
	lambda := NewLambda(t, binary, "http://public:hush@"+sink.Host()+"/prefix/7")
	lambda.Start()
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Post(exits(r1))
	lambda.Shutdown("failure")
	one(t, sink)
	got := sink.Received()[0]
	if got.Path != "/prefix/api/7/envelope/" || !strings.Contains(got.Auth, "sentry_key=public, sentry_secret=hush") {
		t.Errorf("path %s, auth %s", got.Path, got.Auth)
	}
	if !got.Gzip {
		t.Error("an event of more than 1 KB is not compressed")
	}
}

func TestAlso200IdenticalCrashesAreOneEventAndACount(t *testing.T) {
	lambda, sink := environment(t)
	lambda.Post(healthy("nodejs:20.v22"))
	for i := 0; i < 200; i++ {
		lambda.Post(failsWith(fmt.Sprintf("%08x-49c9-448d-89b8-7ca3e6dc66aa", i), fmt.Sprintf("order %d not found", i)))
	}
	lambda.Shutdown("failure")
	event := one(t, sink)
	// What came while eight were waiting is counted in the event, the rest in the ledger.
	dropped, _ := at(event, "contexts/aws.lambda/reports_dropped").(float64)
	if counted := countedInLedger(t, lambda.StateDir); counted+int(dropped) != 199 {
		t.Errorf("%d counted and %v dropped, want 199 together", counted, dropped)
	}
}

func TestAlsoAThousandCrashesInALoop(t *testing.T) {
	const environments, crashes = 8, 125
	for n := 0; n < environments; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			lambda, sink := environment(t)
			for i := 1; ; i++ {
				lambda.Post(healthy("nodejs:20.v22"))
				lambda.Post(exits(fmt.Sprintf("%08x-49c9-448d-89b8-7ca3e6dc66aa", i)))
				lambda.Shutdown("failure") // it must end in time, and with exit code 0
				if i == crashes {
					break
				}
				lambda.Start()
			}
			events := sink.Events()
			counted := countedInLedger(t, lambda.StateDir)
			for _, event := range events {
				text, _ := at(event.Event, "tags/lambda.suppressed").(string)
				suppressed, _ := strconv.Atoi(text)
				counted += suppressed
			}
			if len(events) == 0 || len(events)+counted != crashes {
				t.Errorf("%d events and %d counted, want %d together", len(events), counted, crashes)
			}
			files, err := os.ReadDir(lambda.StateDir)
			if err != nil || len(files) != 1 {
				t.Errorf("%d files are left %v", len(files), err)
			}
		})
	}
}

// countedInLedger is how many crashes were held back and not told yet.
func countedInLedger(t *testing.T, dir string) (count int) {
	t.Helper()
	var ledger struct {
		Fingerprints map[string]struct{ Count int }
	}
	raw, err := os.ReadFile(filepath.Join(dir, "ledger.json"))
	if err != nil || json.Unmarshal(raw, &ledger) != nil || len(ledger.Fingerprints) != 1 {
		t.Fatalf("ledger %s %v", raw, err)
	}
	for _, crash := range ledger.Fingerprints {
		count += crash.Count
	}
	return count
}

func TestAlsoTelemetryNotSupportedMeansIdle(t *testing.T) {
	t.Parallel()
	lambda := NewLambda(t, binary, NewSink(t, false).DSN())
	lambda.SubscribeStatus = func(string) int { return 202 }
	lambda.Start()
	within(t, "SHUTDOWN to exit", lambda.Shutdown("spindown"), time.Second)
	if lambda.Output() != "" {
		t.Errorf("output %q", lambda.Output())
	}
}

func TestAlsoSubscriptionFallsBackToAnOlderSchema(t *testing.T) {
	t.Parallel()
	lambda := NewLambda(t, binary, NewSink(t, false).DSN())
	lambda.SubscribeStatus = func(schema string) int {
		if schema == "2025-01-29" {
			return 400
		}
		return 0
	}
	lambda.Start()
	if n := len(lambda.Subscriptions()); n != 2 || lambda.Subscriptions()[1]["schemaVersion"] != "2022-12-13" {
		t.Errorf("subscriptions %v", lambda.Subscriptions())
	}
	lambda.Shutdown("spindown")
}

func TestAlsoARefusedSubscriptionMeansIdle(t *testing.T) {
	t.Parallel()
	lambda := NewLambda(t, binary, NewSink(t, false).DSN())
	lambda.SubscribeStatus = func(string) int { return 500 }
	lambda.Start()
	lambda.Shutdown("spindown")
	if strings.Count(lambda.Output(), "\n") != 1 || !strings.Contains(lambda.Output(), "idle") {
		t.Errorf("output %q", lambda.Output())
	}
}

func TestAlsoRegistrationIsRetriedOn500AndGivenUpOn403(t *testing.T) {
	t.Parallel()
	lambda := NewLambda(t, binary, NewSink(t, false).DSN())
	lambda.RegisterStatus = func(n int) int {
		if n < 3 {
			return 500
		}
		return 0
	}
	lambda.Start()
	lambda.Shutdown("spindown")
	lambda.RegisterStatus = func(int) int { return 403 }
	lambda.Launch()
	if code := lambda.WaitExit(); code != 1 {
		t.Errorf("exit code %d", code)
	}
}

func TestAlsoSecretsAreRedacted(t *testing.T) {
	lambda, sink := environment(t, "DB_PASSWORD=hunter2hunter2", "AWS_SECRET_ACCESS_KEY=secretkeysecretkey", "AWS_SESSION_TOKEN=sessionsession", "MY_PIN=123456789", "CRASH_REPORTER_REDACT=MY_PIN,customerId")
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Post(failsWith(r1, "hunter2hunter2 secretkeysecretkey sessionsession 123456789 Authorization: Bearer abc.def.ghi postgres://bob:topsecret@db/x customerId=4711 "+lambda.Env["SENTRY_DSN"]))
	lambda.Shutdown("failure")
	one(t, sink)
	raw := string(sink.Received()[0].Raw)
	for _, secret := range []string{"hunter2", "secretkey", "sessionsession", "123456789 ", "abc.def", "topsecret", "4711", "publickey"} {
		if strings.Contains(raw, secret) {
			t.Errorf("%q was sent: %s", secret, raw)
		}
	}
}

func TestAlsoPortIsFree(t *testing.T) {
	a, _ := environment(t)
	b := NewLambda(t, binary, "http://k@127.0.0.1:1/1").Start()
	port := regexp.MustCompile(`:(\d+)/`)
	portA, portB := port.FindString(a.TelemetryURL()), port.FindString(b.TelemetryURL())
	if portA == portB || portA == ":0/" || portA == "" {
		t.Errorf("ports %s and %s", portA, portB)
	}
	a.Shutdown("spindown")
	b.Shutdown("spindown")
}

func TestAlsoAnyPathOfTheListenerWorks(t *testing.T) {
	lambda, sink := environment(t)
	lambda.Post(healthy("nodejs:20.v22"))
	resp, err := http.Post(strings.Replace(lambda.TelemetryURL(), "/telemetry", "/", 1), "application/json", strings.NewReader(exits(r1)))
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(err, resp)
	}
	resp.Body.Close()
	lambda.Shutdown("failure")
	want(t, one(t, sink), lastType, "Runtime.ExitError")
}

func TestAlsoBothArchitecturesAreStaticAndReproducible(t *testing.T) {
	t.Parallel()
	other := t.TempDir()
	if out, err := exec.Command("cp", "-r", ".", filepath.Join(other, "copy")).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		first, second := filepath.Join(other, arch+"1"), filepath.Join(other, arch+"2")
		if err := buildFor(arch, first); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", second, ".")
		cmd.Dir = filepath.Join(other, "copy")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		a, errA := os.ReadFile(first)
		b, errB := os.ReadFile(second)
		if errA != nil || errB != nil || string(a) != string(b) {
			t.Errorf("%s: two builds differ", arch)
		}
		file, err := elf.Open(first)
		if err != nil {
			t.Fatal(err)
		}
		if file.Machine != machine {
			t.Errorf("%s: machine %v", arch, file.Machine)
		}
		for _, program := range file.Progs {
			if program.Type == elf.PT_INTERP || program.Type == elf.PT_DYNAMIC {
				t.Errorf("%s: has %v, so it is not static", arch, program.Type)
			}
		}
		file.Close()
	}
}

func TestAlsoDSNFromSecretsManagerAndParameterStore(t *testing.T) {
	for name, c := range map[string]struct{ env, target, field string }{
		"secret field": {"CRASH_REPORTER_DSN_SECRET_ARN=arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:dsn-AbCdEf", "secretsmanager.GetSecretValue", "dsn"},
		"secret text":  {"CRASH_REPORTER_DSN_SECRET_ARN=arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:dsn-AbCdEf", "secretsmanager.GetSecretValue", ""},
		"parameter":    {"CRASH_REPORTER_DSN_PARAMETER_NAME=/sentry/dsn", "AmazonSSM.GetParameter", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sink := NewSink(t, false)
			aws := NewAWS(t, sink.DSN(), c.field)
			lambda := NewLambda(t, binary, "")
			setEnv(lambda, c.env, "CRASH_REPORTER_DSN_SECRET_FIELD="+c.field, "AWS_ENDPOINT_URL_SECRETS_MANAGER="+aws.URL(), "AWS_ENDPOINT_URL_SSM="+aws.URL(),
				"AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI", "AWS_SESSION_TOKEN=session-token")
			lambda.Start()
			lambda.Post(healthy("nodejs:20.v22"))
			if calls := aws.Calls(); len(calls) != 0 {
				t.Fatalf("a healthy start called AWS: %v", calls)
			}
			lambda.Post(exits(r1))
			sink.Wait(1)
			lambda.Post(failsWith(r2, "cannot send to "+sink.DSN()))
			lambda.Shutdown("failure")
			if events := sink.Received(); len(events) != 2 || strings.Contains(string(events[1].Raw), "publickey") || strings.Contains(lambda.Output(), "publickey") {
				t.Errorf("%d events, or the DSN is in the last one or in the log", len(events))
			}
			calls := aws.Calls()
			if len(calls) != 1 || calls[0].Header.Get("X-Amz-Target") != c.target || calls[0].Header.Get("X-Amz-Security-Token") != "session-token" ||
				!strings.HasPrefix(calls[0].Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") {
				t.Errorf("calls %v", calls)
			}
		})
	}
}

func TestAlsoAnUnreadableSecretIsLoggedOnceAndTheCrashKept(t *testing.T) {
	t.Parallel()
	lambda := NewLambda(t, binary, "")
	setEnv(lambda, "CRASH_REPORTER_DSN_PARAMETER_NAME=/sentry/dsn", "AWS_ENDPOINT_URL_SSM=http://127.0.0.1:1", "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI")
	lambda.Start()
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Post(exits(r1))
	lambda.Shutdown("failure")
	if strings.Count(lambda.Output(), "\n") != 1 || len(lambda.Spooled()) != 1 {
		t.Errorf("output %q, spooled %v", lambda.Output(), lambda.Spooled())
	}
}

func TestAlsoStateThatCannotBeWrittenDoesNotMatter(t *testing.T) {
	t.Parallel()
	sink := NewSink(t, false)
	lambda := NewLambda(t, binary, sink.DSN())
	lambda.StateDir = "/proc/nowhere"
	lambda.Start()
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Post(exits(r1))
	lambda.Shutdown("failure")
	one(t, sink)
}

func TestAlsoErrorsModeNeverOutwaitsTheDeadline(t *testing.T) {
	lambda, sink := environment(t, "CRASH_REPORTER_MODE=errors")
	lambda.Post(healthy("nodejs:20.v22"))
	start := time.Now()
	lambda.Invoke(r1, 700*time.Millisecond)
	lambda.WaitNexts(2) // runtimeDone never comes
	within(t, "waiting", time.Since(start), 650*time.Millisecond)
	lambda.Shutdown("spindown")
	none(t, sink)
}

func TestAlsoShutdownWithNothingPendingIsImmediate(t *testing.T) {
	lambda, sink := environment(t)
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Post(Batch(Start(r1), Done(r1, "success", "", 3), Report(r1, "success", "", 128, 64)))
	within(t, "SHUTDOWN to exit", lambda.Shutdown("spindown"), 250*time.Millisecond)
	none(t, sink)
}

func TestAlsoTagsReleaseAndEnvironment(t *testing.T) {
	lambda, sink := environment(t, `CRASH_REPORTER_TAGS={"team":"billing","tier":1}`, "SENTRY_RELEASE=my-fn@42", "SENTRY_DIST=7", "NODE_ENV=staging")
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Post(exits(r1))
	lambda.Shutdown("failure")
	want(t, one(t, sink), "tags/team", "billing", "tags/tier", "1", "release", "my-fn@42", "dist", "7", "environment", "staging",
		"contexts/cloud_resource/cloud.account.id", "123456789012", "contexts/cloud_resource/cloud.region", "eu-central-1", "contexts/aws.lambda/handler", "index.handler",
		"extra/lambda/log_group", "/aws/lambda/my-fn", "contexts/aws.lambda/invoked_function_arn", "arn:aws:lambda:eu-central-1:123456789012:function:my-fn")
}

func TestAlsoAWrongOptionIsLoggedAndReplaced(t *testing.T) {
	lambda, sink := environment(t, "CRASH_REPORTER_TAGS=team=billing", "CRASH_REPORTER_SAMPLE_RATE=2", "CRASH_REPORTER_MODE=sometimes")
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Post(exits(r1))
	lambda.Shutdown("failure")
	one(t, sink)
	if strings.Count(lambda.Output(), "\n") != 3 {
		t.Errorf("output %q", lambda.Output())
	}
}
