package awsapi

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"cdk-serverless-blocks/crash-reporter/internal/http1"
	"cdk-serverless-blocks/crash-reporter/internal/wire"
)

// Reader reads secrets and parameters with the function's own credentials.
type Reader struct {
	HTTP   *http1.Client
	Getenv func(string) string
	Now    func() time.Time
}

// Secret returns a Secrets Manager secret's text, or one field of its JSON.
func (r *Reader) Secret(ctx context.Context, arn, field string) (string, error) {
	answer, err := r.call(ctx, "secretsmanager", "AWS_ENDPOINT_URL_SECRETS_MANAGER", "secretsmanager.GetSecretValue", arn, map[string]any{"SecretId": arn})
	if err != nil {
		return "", err
	}
	secret := wire.String(answer["SecretString"])
	if field == "" {
		return secret, nil
	}
	fields := wire.Object([]byte(secret))
	if fields == nil {
		return "", fmt.Errorf("the secret is not a JSON object, so it has no field %q", field)
	}
	value, ok := wire.Text(fields[field])
	if !ok {
		return "", fmt.Errorf("the secret has no text field %q", field)
	}
	return value, nil
}

// Parameter returns an SSM parameter's value, decrypted. name may be an ARN.
func (r *Reader) Parameter(ctx context.Context, name string) (string, error) {
	answer, err := r.call(ctx, "ssm", "AWS_ENDPOINT_URL_SSM", "AmazonSSM.GetParameter", name, map[string]any{"Name": name, "WithDecryption": true})
	return wire.String(wire.Object(answer["Parameter"])["Value"]), err
}

func (r *Reader) call(ctx context.Context, service, endpointVariable, target, resource string, input map[string]any) (map[string]wire.Raw, error) {
	region := r.Getenv("AWS_REGION")
	if parts := strings.Split(resource, ":"); len(parts) > 5 && parts[0] == "arn" && parts[3] != "" {
		region = parts[3]
	}
	endpoint := r.Getenv(endpointVariable)
	if endpoint == "" {
		endpoint = r.Getenv("AWS_ENDPOINT_URL")
	}
	if endpoint == "" {
		endpoint = fmt.Sprintf("https://%s.%s.%s/", service, region, PartitionOf(region).DNSSuffix)
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%s is not a URL", endpointVariable)
	}
	credentials, err := r.credentials(ctx)
	if err != nil {
		return nil, err
	}
	body := wire.Marshal(input)
	headers := map[string]string{"Host": u.Host, "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target}
	request := http1.Request{Method: "POST", URL: u.String(), Body: body}
	for name, value := range sign(credentials, "POST", u, headers, body, region, service, r.Now()) {
		if name != "Host" { // the client sends it
			request.Header = append(request.Header, [2]string{name, value})
		}
	}
	resp, err := r.HTTP.Do(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", service, err)
	}
	if resp.Status != 200 {
		return nil, fmt.Errorf("%s answered status %d (%s)", service, resp.Status, errorCode(resp.Body))
	}
	answer := wire.Object(resp.Body)
	if answer == nil {
		return nil, fmt.Errorf("%s answered something that is not JSON", service)
	}
	return answer, nil
}

// errorCode is the only part of an error answer that is safe and short enough to log.
func errorCode(body []byte) string {
	code := wire.String(wire.Object(body)["__type"])
	code = code[strings.LastIndexByte(code, '#')+1:]
	if code == "" || len(code) > 100 {
		return "no error code"
	}
	return code
}

// credentials are in the environment, or, with SnapStart, behind a local
// endpoint: keys from before the snapshot would have expired.
func (r *Reader) credentials(ctx context.Context) (Credentials, error) {
	if key := r.Getenv("AWS_ACCESS_KEY_ID"); key != "" {
		return Credentials{key, r.Getenv("AWS_SECRET_ACCESS_KEY"), r.Getenv("AWS_SESSION_TOKEN")}, nil
	}
	endpoint := r.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
	if endpoint == "" {
		return Credentials{}, errors.New("there are no AWS credentials in the environment")
	}
	local := &http1.Client{}
	resp, err := local.Do(ctx, http1.Request{Method: "GET", URL: endpoint,
		Header: [][2]string{{"Authorization", r.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN")}}})
	if err != nil {
		return Credentials{}, fmt.Errorf("credentials endpoint: %w", err)
	}
	answer := wire.Object(resp.Body)
	credentials := Credentials{wire.String(answer["AccessKeyId"]), wire.String(answer["SecretAccessKey"]), wire.String(answer["Token"])}
	if resp.Status != 200 || credentials.AccessKeyID == "" {
		return Credentials{}, fmt.Errorf("credentials endpoint answered status %d", resp.Status)
	}
	return credentials, nil
}
