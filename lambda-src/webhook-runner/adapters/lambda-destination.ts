import type { MappingRequest } from '../../../src/webhook-runner/contract';
import type { Lambda } from '../../shared/aws/lambda';
import { failedCall, NO_OWN_BODY, recordsText } from '../core/batch-text';
import { parseLambdaAnswer } from '../core/lambda-answer';
import type { Destination } from '../core/ports';

/** Around the records: key, number and punctuation, beside the request. */
const FRAME_BYTES = 300;

/**
 * Each batch is one synchronous invocation: the event is a `LambdaBatch`, the answer a `LambdaBatchAnswer`.
 */
export function lambdaDestination(
  client: Lambda,
  functionArn: string,
  webhookId: string,
  request: MappingRequest,
): Destination {
  const head = JSON.stringify({ webhook_id: webhookId, request }).slice(0, -1);
  return {
    bisects: false,
    overheadBytes: Buffer.byteLength(head) + FRAME_BYTES,
    async deliver(batch, signal) {
      const records = recordsText(batch);
      if (records === undefined) return { kind: 'refused', reason: NO_OWN_BODY };
      const payload = `${head},"idempotency_key":${JSON.stringify(batch.idempotencyKey)},"first_record":${batch.firstRecord},"records":[${records}]}`;
      try {
        const answer = await client.invoke(functionArn, payload, { signal });
        return parseLambdaAnswer(answer.payload.toString('utf8'), answer.functionError, batch.count);
      } catch (error) {
        signal?.throwIfAborted();
        return failedCall('the function could not be invoked', error);
      }
    },
  };
}
