// The route PUT of BirthdayApi in Go, with AWS's SDK and the types of AWS's library for Lambda. Not shipped. It is driven as the
// handlers of Node.js are: by calls in the process, without Lambda's own loop around them.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

type handler struct {
	client *dynamodb.Client
	table  string
	log    *slog.Logger
}

func refused(message string) events.APIGatewayV2HTTPResponse {
	body, _ := json.Marshal(map[string]string{"message": message})
	return events.APIGatewayV2HTTPResponse{StatusCode: 400, Body: string(body)}
}

func (h handler) put(ctx context.Context, payload []byte) ([]byte, error) {
	var event events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(payload, &event); err != nil {
		return nil, err
	}
	response, err := h.answer(ctx, event)
	if err != nil {
		return nil, err
	}
	h.log.Info("answered", "requestId", "bench", "routeKey", event.RouteKey, "status", response.StatusCode)
	return json.Marshal(response)
}

func (h handler) answer(ctx context.Context, event events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	user := event.PathParameters["user"]
	for _, letter := range user {
		if !unicode.IsLetter(letter) {
			return refused("the user name must be letters"), nil
		}
	}
	var body struct {
		DateOfBirth string `json:"dateOfBirth"`
	}
	if err := json.Unmarshal([]byte(event.Body), &body); err != nil {
		return refused("the body is not JSON"), nil
	}
	date, err := time.Parse(time.DateOnly, body.DateOfBirth)
	if err != nil || !date.Before(time.Now()) {
		return refused("`dateOfBirth` must be a date before today"), nil
	}
	key := sha256.Sum256([]byte(strings.ToLower(user)))
	_, err = h.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &h.table,
		Item: map[string]types.AttributeValue{
			"Id":          &types.AttributeValueMemberS{Value: hex.EncodeToString(key[:])},
			"DateOfBirth": &types.AttributeValueMemberS{Value: body.DateOfBirth},
		},
	})
	return events.APIGatewayV2HTTPResponse{StatusCode: 204}, err
}

// Milliseconds of this process, user and system.
func cpu() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e6
}

func residentMb() float64 {
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmRSS:" {
			kilobytes, _ := strconv.ParseFloat(fields[1], 64)
			return kilobytes * 1024 / 1e6
		}
	}
	return 0
}

func main() {
	ctx := context.Background()
	payload := []byte(os.Getenv("BENCH_EVENT"))
	warm, _ := strconv.Atoi(os.Getenv("BENCH_WARM"))
	configuration, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		panic(err)
	}
	h := handler{
		client: dynamodb.NewFromConfig(configuration, func(o *dynamodb.Options) {
			o.BaseEndpoint = aws.String(os.Getenv("AWS_ENDPOINT_URL_DYNAMODB"))
		}),
		table: os.Getenv("TABLE_NAME"),
		log:   slog.New(slog.NewJSONHandler(os.Stdout, nil)),
	}
	loaded := cpu()
	call := func() {
		answer, err := h.put(ctx, payload)
		if err != nil || !strings.Contains(string(answer), `"statusCode":204`) {
			panic(fmt.Sprint(string(answer), err))
		}
	}
	call()
	first, rss := cpu(), residentMb()
	warmUs := 0.0
	if warm > 0 {
		for range warm {
			call()
		}
		before := cpu()
		for range warm {
			call()
		}
		warmUs = (cpu() - before) * 1000 / float64(warm)
	}
	fmt.Fprintf(os.Stderr, `{"loadMs":%f,"firstMs":%f,"warmUs":%f,"rssMb":%f}`, loaded, first-loaded, warmUs, rss)
}
