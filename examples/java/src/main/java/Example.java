import io.github.cdkserverlessblocks.*;
import java.util.List;
import software.amazon.awscdk.App;
import software.amazon.awscdk.CfnOutput;
import software.amazon.awscdk.Stack;
import software.amazon.awscdk.services.cloudwatch.CreateAlarmOptions;
import software.amazon.awscdk.services.secretsmanager.Secret;

/** Every block in one app: the same in each language, see `npx projen test:languages`. */
public class Example {
    public static void main(String[] args) {
        App app = new App();
        Stack stack = new Stack(app, "Example");

        BirthdayApi birthdays = BirthdayApi.Builder.create(stack, "Birthdays").timeZone("Europe/Madrid").build();
        birthdays.metricServerErrors().createAlarm(
            stack, "Failing", CreateAlarmOptions.builder().threshold(1).evaluationPeriods(1).build());
        CfnOutput.Builder.create(stack, "Url").value(birthdays.getUrl()).build();

        UniqueCodeTable.Builder.create(stack, "Codes")
            .httpApi(CodeApiOptions.builder().allowAnonymous(true).build())
            .build();

        GitPushPipeline.Builder.create(stack, "Pushes")
            .repositories(List.of("github.com/acme/*"))
            .webhookSecret(WebhookSecret.fromSecret(new Secret(stack, "WebhookSecret")))
            .build();

        WebhookRunner.Builder.create(stack, "Runner")
            .apiKey(new Secret(stack, "ApiKey"))
            .allowedHosts(List.of("files.example.com", "callback.example.com"))
            .destination(WebhookDestination.http(HttpDestinationOptions.builder()
                .url("https://api.example.com/v1/batch")
                .auth(DestinationAuth.basic(new Secret(stack, "Login")))
                .dataKey("batch")
                .build()))
            .mapping(RecordMapping.all().rename("user_id", "userId").set("type", "track"))
            .build();

        CrashReporterLayer.Builder.create(stack, "Crashes")
            .dsn(SentryDsn.fromSecret(new Secret(stack, "Dsn")))
            .build()
            .addToAll(stack);

        app.synth();
    }
}
