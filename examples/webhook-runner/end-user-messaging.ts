import { App, Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import { createDestinationFunction, platform, type RecipeOptions } from './recipe';
import { RecordMapping, WebhookDestination, WebhookRunner } from '../../src';

export interface EndUserMessagingOptions extends RecipeOptions {
  /** The pool of phone numbers that messages are sent from. */
  readonly poolId?: string;
}

/**
 * A text message to each record's `phone` (in E.164 format), with the text that the platform's settings hold
 * as `message`.
 *
 * @see https://docs.aws.amazon.com/pinpoint/latest/apireference_smsvoicev2/API_SendTextMessage.html
 */
export function addEndUserMessaging(stack: Stack, options: EndUserMessagingOptions = {}): WebhookRunner {
  return new WebhookRunner(stack, 'EndUserMessaging', {
    ...platform(stack, 'EndUserMessaging', options),
    destination: options.dryRun
      ? WebhookDestination.none()
      : WebhookDestination.lambda(createFunction(stack, options)),
    mapping: RecordMapping.all().pick('phone').fromRequest('message', '/settings/message'),
    batchSize: 1, // a retry is then one message: the service knows no idempotency key
    requestsPerMinute: 60, // one message part a second: raise it to what your numbers and countries allow
  });
}

function createFunction(
  stack: Stack,
  { poolId = 'pool-00000000000000000000000000000000' }: EndUserMessagingOptions,
): lambda.Function {
  return createDestinationFunction(stack, 'EndUserMessagingFunction', {
    description: 'Sends text messages',
    file: 'end-user-messaging',
    environment: { ORIGINATION_IDENTITY: poolId, MESSAGE_TYPE: 'PROMOTIONAL' },
    permissions: [
      new iam.PolicyStatement({
        actions: ['sms-voice:SendTextMessage'],
        resources: [stack.formatArn({ service: 'sms-voice', resource: 'pool', resourceName: poolId })],
      }),
    ],
  });
}

if (require.main === module) addEndUserMessaging(new Stack(new App(), 'EndUserMessagingRecipe'));
