import { App, Duration, Stack, type StackProps } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import { GitPushPipeline, WebhookSecret } from '../../src';

/**
 * A repository of many services: each directory below services/ gets a zip and an event of its own, and only
 * when a push changes something in it. The site gets one zip, when a push changes a page. A push whose webhook
 * was lost is found within the hour.
 */
export class MonorepoStack extends Stack {
  public constructor(scope: Construct, id: string, props?: StackProps) {
    super(scope, id, props);
    const pushesTo = {
      repositories: ['github.com/acme/shop'],
      webhookSecret: WebhookSecret.fromSecret(new secretsmanager.Secret(this, 'WebhookSecret')),
      branches: ['main'],
      tags: [],
      reconcile: events.Schedule.rate(Duration.hours(1)),
    };
    const services = new GitPushPipeline(this, 'Services', {
      ...pushesTo,
      splitBy: 'services/*',
      keyTemplate: '{path}/{ref}/{dir}.zip',
    });
    new GitPushPipeline(this, 'Site', { ...pushesTo, paths: ['docs/**', 'mkdocs.yml'] });
    services.onPushed('ServicePushed'); // give it a `target`: what builds the service that the event names
    services
      .metricDirectoriesGone()
      .createAlarm(this, 'ServiceRemoved', { threshold: 1, evaluationPeriods: 1 });
  }
}

if (require.main === module) new MonorepoStack(new App(), 'MonorepoExample');
