package redact

import (
	"strings"
	"testing"
)

// Each text with what is left of it: first what must go, then what must stay.
var texts = [][2]string{
	{"password=x99", "password=[redacted]"},
	{`{"password":"x"}`, `{"password":"[redacted]"}`},
	{`\"password\":\"x\"`, `\"password\":\"[redacted]\"`},
	{`{\"user\":{\"password\":\"hunter 2, or 3\",\"id\":7}}`, `{\"user\":{\"password\":\"[redacted]\",\"id\":7}}`},
	{"dbPassword: 'x'", "dbPassword: '[redacted]'"},
	{"x-api-key: x", "x-api-key: [redacted]"},
	{"api_key=x", "api_key=[redacted]"},
	{"GET /a?access_token=x&y=1", "GET /a?access_token=[redacted]&y=1"},
	{"clientSecret = abcdef, next", "clientSecret = [redacted], next"},
	{`"token" => "abc"`, `"token" => "[redacted]"`},
	{"{'refresh_token': 'abc'}", "{'refresh_token': '[redacted]'}"},
	{`{"passwords":1,"password":["one","two"]}`, `{"passwords":1,"password":[[redacted]]}`},
	{`{"secret":{"token":"abc"}}`, `{"secret":{"token":"[redacted]"}}`},
	{"cookie: a=b; c=d", "cookie: [redacted]"},
	{"Set-Cookie: sid=1; Path=/\nnext: line", "Set-Cookie: [redacted]\nnext: line"},
	{"Authorization: Bearer x", "Authorization: [redacted]"},
	{`Authorization: Digest username="a", response="b"`, "Authorization: [redacted]"},
	{`"authorization":"Digest username=\"a\", response=\"b\"","x":1`, `"authorization":"[redacted]","x":1`},
	{`authorization: "Digest username="a", response="b""`, `authorization: "[redacted]`},
	{`{"headers":{"cookie":"a=b; c=d","host":"h"}}`, `{"headers":{"cookie":"[redacted]","host":"h"}}`},
	{"pay with 4111 1111 1111 1111 now", "pay with [redacted] now"},
	{"4111111111111111 5500-0000-0000-0004", "[redacted] [redacted]"},
	{"4111 1111 1111 1111 5500 0000 0000 0004", "[redacted] [redacted]"},
	{"amex 3782 822463 10005.", "amex [redacted]."},
	{"postgres://u:pa@ss@db/x and http://host/a", "postgres://u:[redacted]@db/x and http://host/a"},
	{"key AKIAIOSFODNN7EXAMPLE is", "key [redacted] is"},
	{"a eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_d b", "a [redacted] b"},
	{"got Bearer abcdef12 here", "got Bearer [redacted] here"},
	{"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nafter", "[redacted]\nafter"},
	{"-----BEGIN PRIVATE KEY-----\nMIIE", "[redacted]"},
	{"sk_live_abcdefghij whsec_0123456789abcdef", "[redacted] [redacted]"},
	{"ghp_0123456789abcdefghij glpat-0123456789abcdef xoxb-1234567890-ab", "[redacted] [redacted] [redacted]"},
	{"password=hunter22 and", "password=[redacted] and"},
	{"password=[hunter22", "password=[[redacted]"},
	{`cookie: "a=b"`, `cookie: "[redacted]"`},
	{`cookie: "a=b",x`, `cookie: "[redacted]",x`},
	{"AUTHORIZATION: x y", "AUTHORIZATION: [redacted]"},
	{"-----BEGIN PRIVATE KEY-----\nM\n-----END -----after", "[redacted]after"},
	{"redis://:hunter22@h", "redis://:[redacted]@h"},
	{"CustomerId=4711, customer_id: 12", "CustomerId=[redacted], customer_id: [redacted]"},

	{"password must have 8 characters", ""},
	{"password: must have 8 characters", ""},
	{"TypeError: password is not a function", ""},
	{"KeyError: 'token'", ""},
	{"Unexpected token } in JSON", ""},
	{"Unexpected token: }", ""},
	{"Cannot read properties of undefined (reading 'token')", ""},
	{"No bearer token was given", ""},
	{"Bearer authentication", ""},
	{"invalid token: expired.", ""},
	{"token: null, password: undefined", ""},
	{"monkey=banana", ""},
	{"tokens=4096", ""},
	{"order 4111111111111112", ""},
	{"1732464000000", ""},
	{"trace 4111-1111-1111-1111-abc 5f4111111111111111", ""},
	{"call +4915112345678", ""},
	{"secretArn=arn:aws:secretsmanager:eu-west-1:1:secret:x", ""},
	{"secret: arn:aws:secretsmanager:eu-west-1:1:secret:x", ""},
	{"PWD=/var/task", ""},
	{"ssh://git@github.com/x://y", ""},
	{"npm_config_registry npm_lifecycle_event SG.x", ""},
	{"authorization: missing", ""},
	{"authorization", ""},
	{"Authorization: ", ""},
	{"://", ""},
	{"cookie:\nnext: line", ""},
	{"a Bearer", ""},
	{"eyJhbGciOiJI", ""},
	{"eyJhbGciOiJI.abcd", ""},
	{"http://h:p/x@y", ""},
	{"at handler (/var/task/token.js:1:2)", ""},
}

func TestSecretsInTextsGoAndWordsStay(t *testing.T) {
	r := New(nil, []string{"customerId"}, nil)
	for _, c := range texts {
		want := c[1]
		if want == "" {
			want = c[0]
		}
		if got := r.Text(c[0]); got != want {
			t.Errorf("%q\nbecame %q\nwant   %q", c[0], got, want)
		}
	}
}

func TestALineOfCodeLosesOnlyItsLiterals(t *testing.T) {
	r := New([]string{"DB_PASSWORD=hunter2hunter2"}, nil, nil)
	for in, want := range map[string]string{
		"const password = event.password;":                "const password = event.password;",
		"if (token === undefined) throw new Error(token)": "if (token === undefined) throw new Error(token)",
		"connect({ password: 'abc' })":                    "connect({ password: '[redacted]' })",
		`const apiKey = "abc";`:                           `const apiKey = "[redacted]";`,
		"login('hunter2hunter2')":                         "login('[redacted]')",
	} {
		if got := r.Code(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestVariablesThatHoldSecrets(t *testing.T) {
	const random = "kX93hdLs82mQpZ71"
	for variable, secret := range map[string]bool{
		"MY_SECRET_X=confidential": true, "TOKEN=confidential": true, "db_password=confidential": true, "DB_PASSWD=confidential": true,
		"GOOGLE_CREDENTIALS=confidential": true, "APIKEY=confidential": true, "API_KEYS=confidential": true, "OTHER_DSN=confidential": true,
		"DB_PWD=confidential": true, "REDIS_AUTH=confidential": true, "PGPASSWORD=confidential": true, "STRIPE_KEY=" + random: true,
		"PATH=confidential": false, "MONKEY=confidential": false, "SORT_KEY=orderId": false, "PARTITION_KEY=orders": false,
		"SORT_KEY=orderIdOfTheCustomer": false, "CACHE_KEY=aaaaaaaaaaaaaaa1": false, "TOKEN_TABLE=confidential": false,
		"SECRET_ARN=arn:aws:x": false, "SECRET_NAME=confidential": false, "DB_SECRET=arn:aws:x:y": false, "TOKEN_FILE=/run/secrets/x": false,
		"ENCRYPTION_KEY=alias/orders": false, "A_PASSWORD=short": false, "DB_PASSWORD=eu-central-1": false, "CRASH_REPORTER_DSN_SECRET_FIELD=confidential": false,
	} {
		_, value, _ := strings.Cut(variable, "=")
		got := New([]string{variable}, nil, []string{"eu-central-1"}).Text("a " + value + " b")
		if want := map[bool]string{true: "a [redacted] b", false: "a " + value + " b"}[secret]; got != want {
			t.Errorf("%s: %q", variable, got)
		}
	}
	if got := New([]string{"PIN=4711"}, []string{"PIN"}, nil).Text("is 4711"); got != "is [redacted]" {
		t.Errorf("a variable the user named: %q", got)
	}
}

func TestASecretThatContainsAnotherGoesWholeAndOneThatIsCutGoesToo(t *testing.T) {
	r := New([]string{"A_SECRET=hunter2hunter2", "B_SECRET=hunter2hunter2-and-more"}, nil, nil)
	r.Add("https://key@host/1")
	for in, want := range map[string]string{
		"hunter2hunter2-and-more":  "[redacted]",
		"at https://key@host/1":    "at [redacted]",
		"a long text hunter2hu...": "a long text [redacted]...",
		"a long text hunt...":      "a long text hunt...",
	} {
		if got := r.Text(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// hostile are texts made to be read over and over.
var hostile = []string{"cookie: no ", "password=", "token:[no ", "token=arn:", `token:"no `, `\\\"token\\\":\\\"no `, "eyJ-", "eyJaaaaaaaaaaaa.", "://a:", "://a@",
	"-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "Bearer ", "SG.", "4111 ", "4111111111111111 ", "4", "=", ":", `"`, `\`, "'", "a:a:", "authorization:\"a\" ", "ghp_", "key "}

// Text read in steps that grow with its length would take hours.
func TestATextIsReadOnceWhateverItSays(t *testing.T) {
	r := New([]string{"A_SECRET=aaaaaaaaaaaaaaaaaaaaaaaab"}, []string{"customerId"}, nil)
	for _, text := range hostile {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			r.Text(strings.Repeat(text, (2<<20)/len(text)))
		})
	}
}

func FuzzText(f *testing.F) {
	for _, c := range texts {
		f.Add(c[0])
	}
	r := New([]string{"A_SECRET=hunter2hunter2"}, []string{"customerId"}, nil)
	f.Fuzz(func(t *testing.T, text string) {
		if got := r.Text(text); strings.Contains(got, "hunter2hunter2") {
			t.Errorf("%q", got)
		}
		r.Code(text)
	})
}
