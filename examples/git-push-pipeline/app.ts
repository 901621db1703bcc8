import { App, CfnOutput, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import { GitCredentials, GitPushPipeline, type GitPushPipelineProps, WebhookSecret } from '../../src';

/** A self-hosted git host, at two ports of one machine; without one, the example takes pushes to GitHub. */
export interface GitHost {
  /** `host:port`. */
  readonly https: string;
  readonly ssh: string;
  readonly knownHosts: string;
  /** PEM. */
  readonly certificateAuthority: string;
}

/**
 * The smallest use of the block, and the outputs by which the demo finds it. In an app of your own, import
 * from 'cdk-serverless-blocks'.
 *
 * @param more further props, such as `paths`, `splitBy` or `reconcile`
 */
export function addPushes(
  stack: Stack,
  gitHost?: GitHost,
  more: Partial<GitPushPipelineProps> = {},
): GitPushPipeline {
  // Put the values in after the deployment: no secret is ever in a template.
  const webhookSecret = new secretsmanager.Secret(stack, 'WebhookSecret');
  const token = new secretsmanager.Secret(stack, 'GitToken');
  const pushes = new GitPushPipeline(stack, 'Pushes', {
    webhookSecret: WebhookSecret.fromSecret(webhookSecret),
    removalPolicy: RemovalPolicy.DESTROY,
    ...(gitHost
      ? {
          repositories: [`${gitHost.https}/*`, `${gitHost.ssh}/*`],
          credentials: {
            [gitHost.https]: GitCredentials.httpsToken(token),
            [gitHost.ssh]: GitCredentials.sshKey(
              new secretsmanager.Secret(stack, 'GitKey'),
              gitHost.knownHosts,
            ),
          },
          certificateAuthority: gitHost.certificateAuthority,
          allowPrivateHosts: true,
        }
      : {
          repositories: ['github.com/acme/*'],
          credentials: { 'github.com': GitCredentials.httpsToken(token) },
        }),
    ...more,
  });
  new CfnOutput(stack, 'GitPushPipelineWebhookUrl', { value: pushes.url });
  new CfnOutput(stack, 'GitPushPipelineBucket', { value: pushes.bucket.bucketName });
  new CfnOutput(stack, 'GitPushPipelineQueue', { value: pushes.queue.queueUrl });
  return pushes;
}

export class PushStack extends Stack {
  public constructor(scope: Construct, id: string, props?: StackProps) {
    super(scope, id, props);
    addPushes(this);
  }
}

if (require.main === module) new PushStack(new App(), 'PushExample');
