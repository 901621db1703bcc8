import { ArnFormat, Stack } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';

/** The account's default bus, in the stack's region. */
function defaultBusArn(scope: Construct): string {
  return Stack.of(scope).formatArn({
    service: 'events',
    resource: 'event-bus',
    resourceName: 'default',
    arnFormat: ArnFormat.SLASH_RESOURCE_NAME,
  });
}

/**
 * Lets somebody put events of one source only on a bus: other people's rules trust the source of an event.
 *
 * @param bus undefined for the default bus of `scope`
 */
export function grantPutEvents(
  grantee: iam.IGrantable,
  scope: Construct,
  bus: events.IEventBus | undefined,
  source: string,
): iam.Grant {
  return iam.Grant.addToPrincipal({
    grantee,
    actions: ['events:PutEvents'],
    resourceArns: [bus?.eventBusArn ?? defaultBusArn(scope)],
    // One call may hold events of many sources, which makes this a key of many values, and such a condition
    // true where the key is missing.
    conditions: {
      'ForAllValues:StringEquals': { 'events:source': [source] },
      Null: { 'events:source': 'false' },
    },
  });
}

/**
 * The events of one type and of one block only: other blocks may put theirs on the same bus. A block's events
 * carry the ARN of its queue.
 */
export function blockEventPattern(
  source: string,
  detailType: string,
  queue: sqs.IQueue,
): events.EventPattern {
  return { source: [source], detailType: [detailType], resources: [queue.queueArn] };
}

/** A rule for events of a block. */
export function createEventRule(
  scope: Construct,
  id: string,
  eventBus: events.IEventBus | undefined,
  eventPattern: events.EventPattern,
  { crossStackScope, ruleName, description, ...more }: events.OnEventOptions,
): events.Rule {
  const rule = new events.Rule(crossStackScope ?? scope, id, {
    ruleName,
    description,
    eventBus,
    eventPattern,
  });
  if (more.eventPattern) rule.addEventPattern(more.eventPattern);
  rule.addTarget(more.target);
  return rule;
}
