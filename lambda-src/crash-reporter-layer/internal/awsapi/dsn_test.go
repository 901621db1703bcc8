package awsapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/http1"
)

func reader(client *http1.Client, env map[string]string) *Reader {
	return &Reader{HTTP: client, Getenv: func(name string) string { return env[name] }, Now: time.Now}
}

// A proxy sees the host that is asked for, without any host of AWS's being there.
func TestTheEndpointIsOfTheResourcesRegionAndPartition(t *testing.T) {
	var host string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host = r.Host
		w.WriteHeader(502)
	}))
	defer proxy.Close()
	via, _ := url.Parse(proxy.URL)
	client := &http1.Client{Proxy: func(*url.URL) *url.URL { return via }}
	for _, c := range []struct{ region, resource, want string }{
		{"eu-central-1", "arn:aws:secretsmanager:us-east-2:123456789012:secret:dsn-AbCdEf", "secretsmanager.us-east-2.amazonaws.com:443"},
		{"cn-north-1", "arn:aws-cn:secretsmanager:cn-northwest-1:123456789012:secret:dsn-AbCdEf", "secretsmanager.cn-northwest-1.amazonaws.com.cn:443"},
		{"eu-central-1", "arn:aws:secretsmanager:us-east-2:dsn", "secretsmanager.eu-central-1.amazonaws.com:443"},
		{"eu-central-1", "sentry/dsn", "secretsmanager.eu-central-1.amazonaws.com:443"},
	} {
		r := reader(client, map[string]string{"AWS_REGION": c.region, "AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S"})
		if _, err := r.Secret(context.Background(), c.resource, ""); err == nil || host != c.want {
			t.Errorf("%s from %s asks %s, %v", c.resource, c.region, host, err)
		}
	}
}

func TestWhatIsAskedAndWhatIsAnswered(t *testing.T) {
	var asked map[string]any
	var authorization string
	status, answer := 200, ""
	aws := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		asked, authorization = nil, r.Header.Get("Authorization")
		_ = json.Unmarshal(raw, &asked)
		w.WriteHeader(status)
		fmt.Fprint(w, answer)
	}))
	defer aws.Close()
	env := map[string]string{"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S", "AWS_ENDPOINT_URL": aws.URL}
	r := reader(&http1.Client{}, env)

	answer = `{"Parameter":{"Value":"https://k@h/1"}}`
	arn := "arn:aws:ssm:us-west-2:123456789012:parameter/sentry/dsn"
	if got, err := r.Parameter(context.Background(), arn); err != nil || got != "https://k@h/1" || asked["Name"] != arn || asked["WithDecryption"] != true {
		t.Errorf("%q %v, asked %v", got, err, asked)
	}
	if !strings.Contains(authorization, "/us-west-2/ssm/aws4_request") {
		t.Errorf("signed for %s", authorization)
	}
	for _, c := range []struct {
		status              int
		answer, field, want string
	}{
		{200, `{"SecretString":"{\"other\":\"x\"}"}`, "dsn", `the secret has no text field "dsn"`},
		{200, `{"SecretString":"https://k@h/1"}`, "dsn", `the secret is not a JSON object, so it has no field "dsn"`},
		{400, `{"__type":"com.amazonaws#AccessDeniedException","Message":"https://k@h/1"}`, "", "secretsmanager answered status 400 (AccessDeniedException)"},
		{500, "oops", "", "secretsmanager answered status 500 (no error code)"},
		{200, "oops", "", "secretsmanager answered something that is not JSON"},
	} {
		status, answer = c.status, c.answer
		if _, err := r.Secret(context.Background(), "s", c.field); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.answer, err, c.want)
		}
	}
}

func TestCredentialsOfSnapStartComeFromTheLocalEndpoint(t *testing.T) {
	status, answer := 200, `{"AccessKeyId":"FRESH","SecretAccessKey":"S","Token":"T"}`
	local := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "token" {
			w.WriteHeader(403)
			return
		}
		w.WriteHeader(status)
		fmt.Fprint(w, answer)
	}))
	defer local.Close()
	env := map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": local.URL, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "token"}
	got, err := reader(nil, env).credentials(context.Background())
	if err != nil || got != (Credentials{"FRESH", "S", "T"}) {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range []string{"403", "no JSON", `{}`} {
		if status, answer = 200, bad; bad == "403" {
			status = 403
		}
		if got, err := reader(nil, env).credentials(context.Background()); err == nil {
			t.Errorf("%s gave %v", bad, got)
		}
	}
	if _, err := reader(nil, nil).credentials(context.Background()); err == nil || !strings.Contains(err.Error(), "no AWS credentials") {
		t.Errorf("%v", err)
	}
}
