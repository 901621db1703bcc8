import { ArnFormat, Stack } from 'aws-cdk-lib';
import type * as events from 'aws-cdk-lib/aws-events';
import * as iam from 'aws-cdk-lib/aws-iam';
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
 * Lets somebody put events on a bus, of one source only: rules of others trust the source of an event.
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
    // One call may hold events of many sources, which makes this a key of many values, and such a condition true where the key is missing.
    conditions: {
      'ForAllValues:StringEquals': { 'events:source': [source] },
      Null: { 'events:source': 'false' },
    },
  });
}
