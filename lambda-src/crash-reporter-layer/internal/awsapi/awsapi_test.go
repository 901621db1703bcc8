package awsapi

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

// The vectors are AWS's own Signature Version 4 test suite: get-vanilla and post-vanilla.
func TestSignatureMatchesTheTestSuiteOfAWS(t *testing.T) {
	credentials := Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
	at := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	target, err := url.Parse("https://example.amazonaws.com/")
	if err != nil {
		t.Fatal(err)
	}
	for method, signature := range map[string]string{
		"GET":  "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
		"POST": "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
	} {
		headers := sign(credentials, method, target, map[string]string{"Host": "example.amazonaws.com"}, nil, "us-east-1", "service", at)
		want := "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + signature
		if headers["Authorization"] != want || headers["X-Amz-Date"] != "20150830T123600Z" {
			t.Errorf("%s: %s", method, headers["Authorization"])
		}
	}
}

func TestASessionTokenIsSigned(t *testing.T) {
	headers := sign(Credentials{"A", "S", "T"}, "POST", &url.URL{Host: "h"}, map[string]string{"Host": "h"}, []byte("{}"), "r", "s", time.Unix(0, 0))
	if headers["X-Amz-Security-Token"] != "T" || !strings.Contains(headers["Authorization"], "SignedHeaders=host;x-amz-date;x-amz-security-token,") {
		t.Errorf("%v", headers)
	}
}

func TestPartitions(t *testing.T) {
	for region, want := range map[string]string{"eu-central-1": "aws amazonaws.com", "cn-north-1": "aws-cn amazonaws.com.cn", "us-gov-west-1": "aws-us-gov amazonaws.com",
		"us-iso-east-1": "aws-iso c2s.ic.gov", "us-isob-east-1": "aws-iso-b sc2s.sgov.gov", "eusc-de-east-1": "aws-eusc amazonaws.eu"} {
		if p := PartitionOf(region); p.ID+" "+p.DNSSuffix != want {
			t.Errorf("%s is in %s %s, want %s", region, p.ID, p.DNSSuffix, want)
		}
	}
}
