import { App, CfnOutput, Stack, type StackProps } from 'aws-cdk-lib';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import { DestinationAuth, RecordMapping, WebhookDestination, WebhookRunner } from '../../src';

/** The demo's own hosts, on this machine; without them, the example names some on the internet. */
export interface WebhookHosts {
  /** Where batches go. */
  readonly destinationUrl: string;
  /** What the demo's command tries. */
  readonly mapping?: RecordMapping | 'none';
  readonly batchSize?: number;
}

/** A generic API that takes JSON arrays. In an app of your own, import from 'cdk-serverless-blocks'. */
export function addWebhookRunner(stack: Stack, hosts?: WebhookHosts): WebhookRunner {
  // Put the values in after the deployment: no secret is ever in a template.
  const apiKey = new secretsmanager.Secret(stack, 'WebhookApiKey', {
    generateSecretString: { excludePunctuation: true },
  });
  const token = new secretsmanager.Secret(stack, 'DestinationToken', {
    generateSecretString: {
      secretStringTemplate: '{}',
      generateStringKey: 'token',
      excludePunctuation: true,
    },
  });
  const runner = new WebhookRunner(stack, 'Runner', {
    apiKey,
    mapping:
      hosts?.mapping === 'none'
        ? undefined
        : (hosts?.mapping ??
          RecordMapping.all().rename('email', 'user_email').fromRequest('audience', 'label_name')),
    ...(hosts
      ? {
          destination: WebhookDestination.http({
            url: hosts.destinationUrl,
            auth: DestinationAuth.bearer(token),
          }),
          allowedHosts: ['127.0.0.1'],
          allowPrivateHosts: true,
          batchSize: hosts.batchSize ?? 100,
        }
      : {
          destination: WebhookDestination.http({
            url: 'https://api.example.com/contacts',
            auth: DestinationAuth.bearer(token),
          }),
          allowedHosts: ['files.example.com', 'callback.example.com'],
        }),
  });
  new CfnOutput(stack, 'WebhookRunnerUrl', { value: `${runner.url}/run` });
  return runner;
}

export class WebhookRunnerStack extends Stack {
  public constructor(scope: Construct, id: string, props?: StackProps) {
    super(scope, id, props);
    addWebhookRunner(this);
  }
}

if (require.main === module) new WebhookRunnerStack(new App(), 'WebhookRunnerExample');
