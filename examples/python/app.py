"""Every block in a Python CDK app: the same app as in the other languages, see `npx projen test:languages`."""
from aws_cdk import App, CfnOutput, Stack
from aws_cdk import aws_secretsmanager as secretsmanager
from cdk_serverless_blocks import (
    BirthdayApi,
    CrashReporterLayer,
    DestinationAuth,
    GitPushPipeline,
    RecordMapping,
    SentryDsn,
    UniqueCodeTable,
    WebhookDestination,
    WebhookRunner,
    WebhookSecret,
)

app = App()
stack = Stack(app, "Example")

birthdays = BirthdayApi(stack, "Birthdays", time_zone="Europe/Madrid")
birthdays.metric_server_errors().create_alarm(stack, "Failing", threshold=1, evaluation_periods=1)
CfnOutput(stack, "Url", value=birthdays.url)

UniqueCodeTable(stack, "Codes", http_api={"allow_anonymous": True})

pushes = GitPushPipeline(
    stack,
    "Pushes",
    repositories=["github.com/acme/*"],
    webhook_secret=WebhookSecret.from_secret(secretsmanager.Secret(stack, "WebhookSecret")),
)

WebhookRunner(
    stack,
    "Runner",
    api_key=secretsmanager.Secret(stack, "ApiKey"),
    allowed_hosts=["files.example.com", "callback.example.com"],
    destination=WebhookDestination.http(
        url="https://api.example.com/v1/batch",
        auth=DestinationAuth.basic(secretsmanager.Secret(stack, "Login")),
        data_key="batch",
    ),
    mapping=RecordMapping.all().rename("user_id", "userId").set("type", "track"),
)

CrashReporterLayer(
    stack, "Crashes", dsn=SentryDsn.from_secret(secretsmanager.Secret(stack, "Dsn"))
).add_to_all(stack)

app.synth()
