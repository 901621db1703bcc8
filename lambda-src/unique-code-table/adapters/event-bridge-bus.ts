import { EVENT_SOURCE } from '../../../src/unique-code-table/contract';
import type { EventBridge } from '../../shared/aws/event-bridge';
import type { CodeEvent } from '../core/changes';

/** A bus. What it refuses is reported by position; where nothing is known about any event, it throws. */
export interface EventBus {
  put(events: readonly CodeEvent[]): Promise<{ readonly place: number; readonly error: string }[]>;
}

export function eventBridgeBus(client: EventBridge, eventBusArn: string, tableArn: string): EventBus {
  return {
    async put(events) {
      const { Entries = [] } = await client.call('PutEvents', {
        Entries: events.map(({ type, detail }) => ({
          EventBusName: eventBusArn,
          Source: EVENT_SOURCE,
          DetailType: type,
          Detail: JSON.stringify(detail),
          Resources: [tableArn],
        })),
      });
      return events.flatMap((_, place) => {
        const entry = Entries[place];
        return entry?.EventId ? [] : [{ place, error: entry?.ErrorCode ?? 'no answer' }];
      });
    },
  };
}
