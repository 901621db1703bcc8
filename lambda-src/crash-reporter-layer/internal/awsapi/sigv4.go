// Package awsapi makes the two AWS calls that may be needed to learn the DSN.
// The SDK would multiply the size of the binary for them.
package awsapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"sort"
	"strings"
	"time"
)

// Credentials sign a request.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string
}

// sign returns the headers, Authorization and X-Amz-Date included, of a request
// without a query (AWS Signature Version 4). headers must hold Host.
func sign(c Credentials, method string, target *url.URL, headers map[string]string, body []byte, region, service string, now time.Time) map[string]string {
	stamp := now.UTC().Format("20060102T150405Z")
	scope := stamp[:8] + "/" + region + "/" + service + "/aws4_request"
	signed := map[string]string{"X-Amz-Date": stamp}
	for name, value := range headers {
		signed[name] = value
	}
	if c.SessionToken != "" {
		signed["X-Amz-Security-Token"] = c.SessionToken
	}
	names := make([]string, 0, len(signed))
	lower := map[string]string{}
	for name, value := range signed {
		names = append(names, strings.ToLower(name))
		lower[strings.ToLower(name)] = strings.TrimSpace(value)
	}
	sort.Strings(names)
	path := target.EscapedPath()
	if path == "" {
		path = "/"
	}
	canonical := method + "\n" + path + "\n\n"
	for _, name := range names {
		canonical += name + ":" + lower[name] + "\n"
	}
	signedNames := strings.Join(names, ";")
	canonical += "\n" + signedNames + "\n" + hexHash(body)

	key := mac([]byte("AWS4"+c.SecretAccessKey), stamp[:8])
	for _, part := range []string{region, service, "aws4_request"} {
		key = mac(key, part)
	}
	signature := hex.EncodeToString(mac(key, "AWS4-HMAC-SHA256\n"+stamp+"\n"+scope+"\n"+hexHash([]byte(canonical))))
	signed["Authorization"] = fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s", c.AccessKeyID, scope, signedNames, signature)
	return signed
}

func mac(key []byte, data string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(data))
	return h.Sum(nil)
}

func hexHash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
