import { App, CfnOutput, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import { EventBus } from 'aws-cdk-lib/aws-events';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import {
  BirthdayApi,
  CodeVerb,
  CrashReporterLayer,
  CrashReporterMode,
  SentryDsn,
  UniqueCodeTable,
} from '../src';
import { Crashes } from './crash-reporter-layer/crashes';
import { addPushes, type GitHost } from './git-push-pipeline/app';
import { addWebhookRunner, type WebhookHosts } from './webhook-runner/app';

export interface DemoProps extends StackProps {
  /** Whether the extension of the CrashReporterLayer has been built, which needs Go. */
  readonly withCrashReporter?: boolean;
  /** Whose pushes are taken. */
  readonly gitHost?: GitHost;
  /** Where files come from, and records and reports go. */
  readonly webhookHosts?: WebhookHosts;
}

/**
 * Every block in one stack: what `npm run demo` runs on localhost. In an app of your own, import from
 * 'cdk-serverless-blocks'.
 *
 * An output's name is the block and a property: that is how the demo learns where to reach it.
 */
export class DemoStack extends Stack {
  public constructor(scope: Construct, id: string, props: DemoProps = {}) {
    super(scope, id, props);

    const birthdays = new BirthdayApi(this, 'Birthdays', { removalPolicy: RemovalPolicy.DESTROY });
    new CfnOutput(this, 'BirthdayApiUrl', { value: birthdays.url });

    const codes = new UniqueCodeTable(this, 'Codes', {
      verbs: [CodeVerb.VALIDATE, CodeVerb.REDEEM],
      eventBus: EventBus.fromEventBusName(this, 'EventBus', 'default'),
      httpApi: { allowAnonymous: true }, // a demo on localhost; your app has an `authorizer`
      removalPolicy: RemovalPolicy.DESTROY,
    });
    new CfnOutput(this, 'UniqueCodeTableUrl', { value: codes.url! });

    addPushes(this, props.gitHost);
    addWebhookRunner(this, props.webhookHosts);
    if (props.withCrashReporter ?? true) this.addCrashReporter();
  }

  private addCrashReporter(): void {
    // Locally the extension is executed on the machine where this runs.
    const architecture = process.arch === 'arm64' ? lambda.Architecture.ARM_64 : lambda.Architecture.X86_64;
    const broken = new Crashes(this, 'Crashes', architecture);
    const reporter = new CrashReporterLayer(this, 'CrashReporter', {
      dsn: SentryDsn.fromSecret(
        new secretsmanager.Secret(this, 'SentryDsn', {
          description: 'Where crashes are reported',
          removalPolicy: RemovalPolicy.DESTROY,
        }),
      ),
      mode: CrashReporterMode.ERRORS,
      environmentName: 'demo',
    });
    reporter.addToAll(broken);
    new CfnOutput(this, 'CrashReporterLayerUrl', { value: broken.url });
  }
}

if (require.main === module) new DemoStack(new App(), 'Demo');
