import { App, CfnOutput, RemovalPolicy, Stack, StackProps } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { BirthdayApi, UniqueCodeTable } from '../src';
import { addPushes, GitHost } from './git-push-pipeline/app';
import { addWebhookRunner, WebhookHosts } from './webhook-runner/app';

/**
 * Every block in one stack: what `npm run demo` runs on localhost. In an app of your own, import from 'cdk-serverless-blocks'.
 *
 * An output's name is the block and a property: that is how the demo learns where to reach it.
 */
export class DemoStack extends Stack {
  public constructor(scope: Construct, id: string, props?: StackProps & { readonly gitHost?: GitHost; readonly webhookHosts?: WebhookHosts }) {
    super(scope, id, props);

    const birthdays = new BirthdayApi(this, 'Birthdays', { removalPolicy: RemovalPolicy.DESTROY });
    new CfnOutput(this, 'BirthdayApiUrl', { value: birthdays.url });

    const codes = new UniqueCodeTable(this, 'Codes', { httpApi: {}, removalPolicy: RemovalPolicy.DESTROY });
    new CfnOutput(this, 'UniqueCodeTableUrl', { value: codes.url! });

    addPushes(this, props?.gitHost);

    addWebhookRunner(this, props?.webhookHosts);
  }
}

if (require.main === module) new DemoStack(new App(), 'Demo');
