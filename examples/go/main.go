// Every block in one app: the same in each language, see `npx projen test:languages`.
package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/jsii-runtime-go"
	blocks "github.com/cdk-serverless-blocks/cdk-serverless-blocks-go/cdkserverlessblocks"
)

func main() {
	defer jsii.Close()
	app := awscdk.NewApp(nil)
	stack := awscdk.NewStack(app, jsii.String("Example"), nil)
	secret := func(id string) awssecretsmanager.Secret {
		return awssecretsmanager.NewSecret(stack, jsii.String(id), nil)
	}

	birthdays := blocks.NewBirthdayApi(stack, jsii.String("Birthdays"), &blocks.BirthdayApiProps{
		TimeZone: jsii.String("Europe/Madrid"),
	})
	birthdays.MetricServerErrors(nil).CreateAlarm(stack, jsii.String("Failing"), &awscloudwatch.CreateAlarmOptions{
		Threshold:         jsii.Number(1),
		EvaluationPeriods: jsii.Number(1),
	})
	awscdk.NewCfnOutput(stack, jsii.String("Url"), &awscdk.CfnOutputProps{Value: birthdays.Url()})

	blocks.NewUniqueCodeTable(stack, jsii.String("Codes"), &blocks.UniqueCodeTableProps{
		HttpApi: &blocks.CodeApiOptions{AllowAnonymous: jsii.Bool(true)},
	})

	blocks.NewGitPushPipeline(stack, jsii.String("Pushes"), &blocks.GitPushPipelineProps{
		Repositories:  jsii.Strings("github.com/acme/*"),
		WebhookSecret: blocks.WebhookSecret_FromSecret(secret("WebhookSecret")),
	})

	blocks.NewWebhookRunner(stack, jsii.String("Runner"), &blocks.WebhookRunnerProps{
		ApiKey:       secret("ApiKey"),
		AllowedHosts: jsii.Strings("files.example.com", "callback.example.com"),
		Destination: blocks.WebhookDestination_Http(&blocks.HttpDestinationOptions{
			Url:     jsii.String("https://api.example.com/v1/batch"),
			Auth:    blocks.DestinationAuth_Basic(secret("Login")),
			DataKey: jsii.String("batch"),
		}),
		Mapping: blocks.RecordMapping_All().Rename(jsii.String("user_id"), jsii.String("userId")).Set(jsii.String("type"), jsii.String("track")),
	})

	blocks.NewCrashReporterLayer(stack, jsii.String("Crashes"), &blocks.CrashReporterLayerProps{
		Dsn: blocks.SentryDsn_FromSecret(secret("Dsn"), nil),
	}).AddToAll(stack, nil)

	app.Synth(nil)
}
