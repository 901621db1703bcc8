// Every block in one app: the same in each language, see `npx projen test:languages`.
using Amazon.CDK;
using Amazon.CDK.AWS.CloudWatch;
using Amazon.CDK.AWS.SecretsManager;
using CdkServerlessBlocks;

var app = new App();
var stack = new Stack(app, "Example");

var birthdays = new BirthdayApi(stack, "Birthdays", new BirthdayApiProps { TimeZone = "Europe/Madrid" });
birthdays.MetricServerErrors().CreateAlarm(stack, "Failing", new CreateAlarmOptions { Threshold = 1, EvaluationPeriods = 1 });
new CfnOutput(stack, "Url", new CfnOutputProps { Value = birthdays.Url });

new UniqueCodeTable(stack, "Codes", new UniqueCodeTableProps { HttpApi = new CodeApiOptions { AllowAnonymous = true } });

new GitPushPipeline(stack, "Pushes", new GitPushPipelineProps
{
    Repositories = new[] { "github.com/acme/*" },
    WebhookSecret = WebhookSecret.FromSecret(new Secret(stack, "WebhookSecret")),
});

new WebhookRunner(stack, "Runner", new WebhookRunnerProps
{
    ApiKey = new Secret(stack, "ApiKey"),
    AllowedHosts = new[] { "files.example.com", "callback.example.com" },
    Destination = WebhookDestination.Http(new HttpDestinationOptions
    {
        Url = "https://api.example.com/v1/batch",
        Auth = DestinationAuth.Basic(new Secret(stack, "Login")),
        DataKey = "batch",
    }),
    Mapping = RecordMapping.All().Rename("user_id", "userId").Set("type", "track"),
});

new CrashReporterLayer(stack, "Crashes", new CrashReporterLayerProps
{
    Dsn = SentryDsn.FromSecret(new Secret(stack, "Dsn")),
}).AddToAll(stack);

app.Synth();
