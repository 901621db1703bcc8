package main

import (
	"fmt"
	"strings"
	"testing"

	. "cdk-serverless-blocks/crash-reporter/internal/harness"
)

func TestDSNWithPathPrefixAndSecret(t *testing.T) {
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

func TestDSNFromSecretsManagerAndParameterStore(t *testing.T) {
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

func TestAnUnreadableSecretIsLoggedOnceAndTheCrashKept(t *testing.T) {
	t.Parallel()
	lambda := NewLambda(t, binary, "")
	setEnv(lambda, "CRASH_REPORTER_DSN_PARAMETER_NAME=/sentry/dsn", "AWS_ENDPOINT_URL_SSM=http://127.0.0.1:1", "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI")
	lambda.Start()
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Post(exits(r1))
	lambda.Shutdown("failure")
	if strings.Count(lambda.Output(), "could not be read") != 1 || !strings.HasSuffix(lambda.Output(), "1 crash, 0 sent, 1 kept for the next try\n") || len(lambda.Spooled()) != 1 {
		t.Errorf("output %q, spooled %v", lambda.Output(), lambda.Spooled())
	}
}

func TestSecretsAreRedacted(t *testing.T) {
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

func TestWhatAnEventIsMadeOfIsNotRedacted(t *testing.T) {
	lambda, sink := environment(t, "SORT_KEY=orderId", "PARTITION_KEY=my-fn-orders", "AWS_LAMBDA_FUNCTION_NAME=my-fn-orders", "DB_PASSWORD=my-fn-orders", "SENTRY_ENVIRONMENT=staging", "SITE_SECRET=staging")
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Post(failsWith(r1, "orderId of my-fn-orders: password=x99 api_key=abc x-api-key: def cookie: sid=ghi; b=jkl"))
	lambda.Shutdown("failure")
	event := one(t, sink)
	want(t, event, "transaction", "my-fn-orders", "environment", "staging", "server_name", "my-fn-orders", "tags/lambda.function", "my-fn-orders",
		"exception/values/-1/value", "orderId of my-fn-orders: password=[redacted] api_key=[redacted] x-api-key: [redacted] cookie: [redacted]",
		"extra/lambda/log_group", "/aws/lambda/my-fn-orders")
	if fingerprint := fmt.Sprint(event["fingerprint"]); strings.Contains(fingerprint, "redacted") {
		t.Error(fingerprint)
	}
}

func TestStateThatCannotBeWrittenDoesNotMatter(t *testing.T) {
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

func TestTagsReleaseAndEnvironment(t *testing.T) {
	lambda, sink := environment(t, `CRASH_REPORTER_TAGS={"team":"billing","tier":1}`, "SENTRY_RELEASE=my-fn@42", "SENTRY_DIST=7", "NODE_ENV=staging")
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Post(exits(r1))
	lambda.Shutdown("failure")
	want(t, one(t, sink), "tags/team", "billing", "tags/tier", "1", "release", "my-fn@42", "dist", "7", "environment", "staging",
		"contexts/cloud_resource/cloud.account.id", "123456789012", "contexts/cloud_resource/cloud.region", "eu-central-1", "contexts/aws.lambda/handler", "index.handler",
		"extra/lambda/log_group", "/aws/lambda/my-fn", "contexts/aws.lambda/invoked_function_arn", "arn:aws:lambda:eu-central-1:123456789012:function:my-fn")
}

func TestAWrongOptionIsLoggedAndReplaced(t *testing.T) {
	lambda, sink := environment(t, "CRASH_REPORTER_TAGS=team=billing", "CRASH_REPORTER_SAMPLE_RATE=2", "CRASH_REPORTER_MODE=sometimes")
	lambda.Post(healthy("nodejs:20.v22"))
	lambda.Post(exits(r1))
	lambda.Shutdown("failure")
	one(t, sink)
	if strings.Count(lambda.Output(), "\n") != 3 {
		t.Errorf("output %q", lambda.Output())
	}
}
