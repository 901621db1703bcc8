import type { EventBridge } from '../../shared/aws/event-bridge';
import { isTransientCode } from '../../shared/transient';
import { failedCall, NO_OWN_BODY, recordsText } from '../core/batch-text';
import type { Destination } from '../core/ports';

export interface EventBusTarget {
  readonly eventBusName: string;
  readonly source: string;
  readonly detailType: string;
}

const FRAME_BYTES = 700;

/** Each batch is one event: `detail` has `webhook_id`, `idempotency_key`, `first_record` and `records`. */
export function eventBridgeDestination(
  client: EventBridge,
  { eventBusName, source, detailType }: EventBusTarget,
  webhookId: string,
): Destination {
  return {
    bisects: true,
    overheadBytes: FRAME_BYTES,
    async deliver(batch, signal) {
      const records = recordsText(batch);
      if (records === undefined) return { kind: 'refused', reason: NO_OWN_BODY };
      const Detail =
        `{"webhook_id":${JSON.stringify(webhookId)},"idempotency_key":${JSON.stringify(batch.idempotencyKey)},` +
        `"first_record":${batch.firstRecord},"records":[${records}]}`;
      try {
        const { FailedEntryCount, Entries } = await client.call(
          'PutEvents',
          {
            Entries: [{ EventBusName: eventBusName, Source: source, DetailType: detailType, Detail }],
          },
          { signal },
        );
        if (!FailedEntryCount) return { kind: 'delivered' };
        const code = Entries?.[0]?.ErrorCode ?? 'no reason';
        return {
          kind: isTransientCode(code) ? 'unavailable' : 'refused',
          reason: `the event bus refused the batch: ${code}`,
        };
      } catch (error) {
        signal?.throwIfAborted();
        return failedCall('the event bus could not be reached', error);
      }
    },
  };
}
