import { EVENT, type RunEndedDetail } from '../../../src/webhook-runner/contract';
import type { EventBridge } from '../../shared/aws/event-bridge';

/** Publishes the end of a run on a bus; throws where the bus did not take it. */
export function eventBridgeEvents(
  client: EventBridge,
  eventBusName: string,
): (detail: RunEndedDetail, queueArn: string) => Promise<void> {
  return async (detail, queueArn) => {
    const { FailedEntryCount, Entries } = await client.call('PutEvents', {
      Entries: [
        {
          EventBusName: eventBusName,
          Source: EVENT.source,
          DetailType: EVENT.detailType,
          Detail: JSON.stringify(detail),
          Resources: [queueArn],
        },
      ],
    });
    if (FailedEntryCount) throw new Error(`the event bus refused the event: ${Entries?.[0]?.ErrorCode}`);
  };
}
