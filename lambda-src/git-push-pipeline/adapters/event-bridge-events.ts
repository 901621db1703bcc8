import { EVENT, EVENT_SOURCE } from '../../../src/git-push-pipeline/contract';
import type { EventBridge } from '../../shared/aws/event-bridge';
import type { PushEvents } from '../core/ports';

export function eventBridgeEvents(client: EventBridge, eventBusName: string): PushEvents {
  const put = async (detailType: string, detail: object, queueArn: string) => {
    const { Entries = [] } = await client.call('PutEvents', {
      Entries: [
        {
          EventBusName: eventBusName,
          Source: EVENT_SOURCE,
          DetailType: detailType,
          Detail: JSON.stringify(detail),
          Resources: [queueArn],
        },
      ],
    });
    const refused = Entries.find(({ ErrorCode }) => ErrorCode !== undefined);
    if (refused) throw new Error(`EventBridge refused the event "${detailType}": ${refused.ErrorCode}`);
  };
  return {
    published: (detail, queueArn) => put(EVENT.published, detail, queueArn),
    failed: (detail, queueArn) => put(EVENT.failed, detail, queueArn),
  };
}
