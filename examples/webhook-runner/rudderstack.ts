import { App, Stack } from 'aws-cdk-lib';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { platform, type RecipeOptions } from './recipe';
import { DestinationAuth, RecordMapping, WebhookDestination, WebhookRunner } from '../../src';

export interface RudderstackOptions extends RecipeOptions {
  /** As the RudderStack dashboard shows it. */
  readonly dataPlaneUrl?: string;
}

/**
 * An event of the track API for each record: this user has entered that audience.
 *
 * Put the source's write key into the secret as `username`; `password` stays empty. A column `event_id` in
 * the file tells events apart: RudderStack drops a `messageId` that it has seen.
 *
 * @see https://www.rudderstack.com/docs/api/http-api/
 */
export function addRudderstack(stack: Stack, options: RudderstackOptions = {}): WebhookRunner {
  const { dataPlaneUrl = 'https://example.dataplane.rudderstack.com', dryRun } = options;
  const writeKey = new secretsmanager.Secret(stack, 'RudderstackWriteKey', {
    generateSecretString: {
      secretStringTemplate: '{"password":""}',
      generateStringKey: 'username',
      excludePunctuation: true,
    },
  });
  return new WebhookRunner(stack, 'Rudderstack', {
    ...platform(stack, 'Rudderstack', options),
    destination: dryRun
      ? WebhookDestination.none()
      : WebhookDestination.http({
          url: `${dataPlaneUrl}/v1/batch`,
          auth: DestinationAuth.basic(writeKey),
          dataKey: 'batch',
        }),
    mapping: RecordMapping.all()
      .pick('user_id', 'event_id')
      .rename('user_id', 'userId')
      .rename('event_id', 'messageId')
      .set('type', 'track')
      .set('event', 'Audience Entered')
      .fromRequest('/properties/audience', 'label_name'),
    maxBatchBytes: 4_000_000, // 4 MB a batch, 32 KB an event
  });
}

if (require.main === module) addRudderstack(new Stack(new App(), 'RudderstackRecipe'));
