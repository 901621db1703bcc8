/**
 * Every block in one app: the same in each language, see `npx projen test:languages`. In an app of your own,
 * import from 'cdk-serverless-blocks'.
 */
import { App, CfnOutput, Stack } from 'aws-cdk-lib';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import {
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
} from '../../src';

const app = new App();
const stack = new Stack(app, 'Example');

const birthdays = new BirthdayApi(stack, 'Birthdays', { timeZone: 'Europe/Madrid' });
birthdays.metricServerErrors().createAlarm(stack, 'Failing', { threshold: 1, evaluationPeriods: 1 });
new CfnOutput(stack, 'Url', { value: birthdays.url });

new UniqueCodeTable(stack, 'Codes', { httpApi: { allowAnonymous: true } });

new GitPushPipeline(stack, 'Pushes', {
  repositories: ['github.com/acme/*'],
  webhookSecret: WebhookSecret.fromSecret(new secretsmanager.Secret(stack, 'WebhookSecret')),
});

new WebhookRunner(stack, 'Runner', {
  apiKey: new secretsmanager.Secret(stack, 'ApiKey'),
  allowedHosts: ['files.example.com', 'callback.example.com'],
  destination: WebhookDestination.http({
    url: 'https://api.example.com/v1/batch',
    auth: DestinationAuth.basic(new secretsmanager.Secret(stack, 'Login')),
    dataKey: 'batch',
  }),
  mapping: RecordMapping.all().rename('user_id', 'userId').set('type', 'track'),
});

const dsn = SentryDsn.fromSecret(new secretsmanager.Secret(stack, 'Dsn'));
new CrashReporterLayer(stack, 'Crashes', { dsn }).addToAll(stack);

app.synth();
