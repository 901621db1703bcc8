import { createRequire } from 'node:module';
import * as path from 'node:path';
import { CustomerProfilesClient } from '@aws-sdk/client-customer-profiles';
import { PinpointSMSVoiceV2Client } from '@aws-sdk/client-pinpoint-sms-voice-v2';
import { RedshiftDataClient } from '@aws-sdk/client-redshift-data';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CustomerProfilesStandIn, EndUserMessagingStandIn, RedshiftDataStandIn } from './aws-stand-ins';
import { parseLambdaAnswer } from '../../lambda-src/webhook-runner/core/lambda-answer';
import type { JsonObject, LambdaBatch, LambdaBatchAnswer } from '../../src/webhook-runner/contract';

type Handler = (
  event: LambdaBatch,
  context: { getRemainingTimeInMillis(): number },
) => Promise<LambdaBatchAnswer>;
type CreateHandler = (client: unknown, ...settings: unknown[]) => Handler;

const createHandlerOf = (file: string) =>
  (
    createRequire(path.join(__dirname, 'x.js'))(`../../examples/webhook-runner/functions/${file}.js`) as {
      createHandler: CreateHandler;
    }
  ).createHandler;

const settingsFor = ({ url }: { url: string }) => ({
  endpoint: url,
  region: 'us-east-1',
  credentials: { accessKeyId: 'a', secretAccessKey: 's' },
  maxAttempts: 1,
});
const LEISURELY = { getRemainingTimeInMillis: () => 50_000 };

const batch = (records: LambdaBatch['records'], key = 'key-1'): LambdaBatch => ({
  webhook_id: 'wh-1',
  idempotency_key: key,
  first_record: 100,
  request: {},
  records,
});

/** As the runner reads it: an answer that it does not understand would be a refusal of the whole batch. */
async function failuresOf(answer: Promise<LambdaBatchAnswer>, count: number): Promise<unknown> {
  const delivery = parseLambdaAnswer(JSON.stringify(await answer), undefined, count);
  expect(delivery.kind).toBe('delivered');
  return (delivery as { failures?: unknown }).failures;
}

describe('Redshift Data', () => {
  let redshift: RedshiftDataStandIn;
  let client: RedshiftDataClient;
  let handle: (event: LambdaBatch, context?: typeof LEISURELY) => Promise<LambdaBatchAnswer>;
  beforeEach(async () => {
    redshift = await new RedshiftDataStandIn().start();
    client = new RedshiftDataClient(settingsFor(redshift));
    const handler = createHandlerOf('redshift-data')(client, {
      WorkgroupName: 'analytics',
      Database: 'dev',
      SecretArn: 'arn:aws:secretsmanager:us-east-1:123456789012:secret:login',
      table: 'audience.members',
    });
    handle = (event, context = LEISURELY) => handler(event, context);
  });
  afterEach(async () => {
    client.destroy();
    await redshift.stop();
  });

  const people = (count: number) =>
    Array.from({ length: count }, (_, id) => ({ id, name: `O'Neill \\ ${id}` }));

  test('inserts the records of a full batch as they are, in one transaction', async () => {
    expect(await failuresOf(handle(batch(people(39))), 39)).toEqual([]);
    expect(redshift.rows).toEqual(
      people(39).map((record, index) => ({ batchKey: 'key-1', recordNumber: 100 + index, record })),
    );
    expect(redshift.transactions).toBe(1);
  });

  test('the same batch again changes nothing, another one is added', async () => {
    for (const key of ['key-1', 'key-1', 'key-2']) await handle(batch(people(3), key));
    expect(redshift.rows.map(({ batchKey, recordNumber }) => `${batchKey}/${recordNumber}`)).toEqual([
      'key-1/100',
      'key-1/101',
      'key-1/102',
      'key-2/100',
      'key-2/101',
      'key-2/102',
    ]);
  });

  test('records that are refused are named, the others are in', async () => {
    redshift.refuse = ({ id }) => (id === 1 || id === 3 ? `no ${id}` : undefined);
    expect(await failuresOf(handle(batch(people(5))), 5)).toEqual([
      { index: 1, reason: 'ERROR: no 1' },
      { index: 3, reason: 'ERROR: no 3' },
    ]);
    expect(redshift.rows.map(({ recordNumber }) => recordNumber)).toEqual([100, 102, 104]);
  });

  test('all refused are all named', async () => {
    redshift.refuse = () => 'no';
    expect(await failuresOf(handle(batch(people(2))), 2)).toHaveLength(2);
    expect(redshift.rows).toEqual([]);
  });

  test('a throttled batch is to be sent again, and so is one whose transaction met another', async () => {
    redshift.throttle = 1;
    await expect(handle(batch(people(2)))).rejects.toThrow(
      'ThrottlingException: the batch is to be sent again',
    );
    redshift.failAll = 'ERROR: 1023 DETAIL: Serializable isolation violation on table';
    await expect(handle(batch(people(2)))).rejects.toThrow(
      /^The statement [-\w]+ was not executed \(FAILED\)$/,
    );
    redshift.failAll = undefined;
    await handle(batch(people(2)));
    expect(redshift.rows).toHaveLength(2);
  });

  test('a statement that takes too long is cancelled before the batch is sent again', async () => {
    redshift.hangs = true;
    await expect(handle(batch(people(2)), { getRemainingTimeInMillis: () => 9_000 })).rejects.toThrow(
      /takes too long/,
    );
    expect(redshift.cancelled).toHaveLength(1);
  });

  test('a request that the service does not understand refuses its records, with the reason', async () => {
    const failures = await failuresOf(handle(batch(people(40))), 40);
    expect(failures).toHaveLength(40);
    expect(failures).toContainEqual({
      index: 39,
      reason: 'ValidationException: Sqls must have 1 to 40 items, got 41',
    });
  });
});

describe('End User Messaging', () => {
  let messaging: EndUserMessagingStandIn;
  let client: PinpointSMSVoiceV2Client;
  let handle: Handler;
  beforeEach(async () => {
    messaging = await new EndUserMessagingStandIn().start();
    client = new PinpointSMSVoiceV2Client(settingsFor(messaging));
    handle = createHandlerOf('end-user-messaging')(client, 'pool-1', 'PROMOTIONAL');
  });
  afterEach(async () => {
    client.destroy();
    await messaging.stop();
  });

  const to = (...phones: string[]) => batch(phones.map(phone => ({ phone, message: 'Hello' })));

  test("sends the message, with the batch's key for who looks at events", async () => {
    expect(await failuresOf(handle(to('+12065550100'), LEISURELY), 1)).toEqual([]);
    expect(messaging.sent).toEqual([
      {
        DestinationPhoneNumber: '+12065550100',
        MessageBody: 'Hello',
        OriginationIdentity: 'pool-1',
        MessageType: 'PROMOTIONAL',
        Context: { webhook_id: 'wh-1', idempotency_key: 'key-1' },
      },
    ]);
  });

  test('a number that is refused is named, the others are sent to', async () => {
    expect(await failuresOf(handle(to('+12065550100', '0100', '+12065550101'), LEISURELY), 3)).toEqual([
      { index: 1, reason: 'ValidationException: DestinationPhoneNumber is no phone number' },
    ]);
    expect(messaging.sent).toHaveLength(2);
  });

  test('a throttled message is to be sent again where nothing was sent, also behind refused ones', async () => {
    messaging.throttle = 1;
    await expect(handle(to('+12065550100'), LEISURELY)).rejects.toThrow(
      'ThrottlingException: the batch is to be sent again',
    );
    const records = [
      { phone: '0100', message: 'Hello' },
      throttling({ phone: '+12065550100', message: 'Hello' }, messaging),
    ];
    await expect(handle({ ...to(), records }, LEISURELY)).rejects.toThrow(
      'ThrottlingException: the batch is to be sent again',
    );
    expect(messaging.sent).toEqual([]);
  });

  test("a throttled message behind a sent one is named: nobody gets a message twice for another's sake", async () => {
    const answer = failuresOf(
      handle(
        {
          ...to(),
          records: [
            { phone: '+12065550100', message: 'Hello' },
            throttling({ phone: '+12065550101', message: 'Hello' }, messaging),
          ],
        },
        LEISURELY,
      ),
      2,
    );
    expect(await answer).toEqual([{ index: 1, reason: 'ThrottlingException: Rate exceeded' }]);
    expect(messaging.sent).toHaveLength(1);
  });
});

/** A record that has the service throttled when it is read. */
function throttling<T extends { phone: string }>(record: T, service: { throttle: number }): T {
  return Object.defineProperty({ ...record }, 'phone', {
    get: () => {
      service.throttle = 1;
      return record.phone;
    },
  });
}

describe('Customer Profiles', () => {
  let profiles: CustomerProfilesStandIn;
  let client: CustomerProfilesClient;
  let handle: Handler;
  beforeEach(async () => {
    profiles = await new CustomerProfilesStandIn().start();
    client = new CustomerProfilesClient(settingsFor(profiles));
    handle = createHandlerOf('customer-profiles')(client, 'customers', 'AudienceMember');
  });
  afterEach(async () => {
    client.destroy();
    await profiles.stop();
  });

  const users = (...ids: string[]) => batch(ids.map(id => ({ user_id: id, audience: 'Gold' })));

  test('puts an object for each record; the same batch again replaces them', async () => {
    for (let time = 0; time < 2; time++) {
      expect(await failuresOf(handle(users('a', 'b'), LEISURELY), 2)).toEqual([]);
    }
    expect([...profiles.objects.values()]).toEqual([
      { user_id: 'a', audience: 'Gold' },
      { user_id: 'b', audience: 'Gold' },
    ]);
    expect(profiles.taken).toBe(4);
  });

  test('objects that are refused or too long are named, the others are put', async () => {
    const records: JsonObject[] = [
      { user_id: 'a' },
      { name: 'nobody' },
      { user_id: 'c', text: 'x'.repeat(256_000) },
      { user_id: 'd' },
    ];
    expect(await failuresOf(handle(batch(records), LEISURELY), 4)).toEqual([
      { index: 1, reason: 'BadRequestException: The object has no value for its unique key' },
      { index: 2, reason: 'the object has 256025 characters, more than 256000' },
    ]);
    expect([...profiles.objects.keys()]).toEqual(['a', 'd']);
  });

  test('a throttled batch is to be sent again', async () => {
    profiles.throttle = 1;
    await expect(handle(users('a', 'b'), LEISURELY)).rejects.toThrow(
      'ThrottlingException: the batch is to be sent again',
    );
    expect(await failuresOf(handle(users('a', 'b'), LEISURELY), 2)).toEqual([]);
  });

  test('a service that is not there is tried again, with an error that names no record', async () => {
    const gone = new CustomerProfilesClient({ ...settingsFor(profiles), endpoint: 'http://127.0.0.1:1' });
    try {
      await expect(
        createHandlerOf('customer-profiles')(gone, 'customers', 'AudienceMember')(
          users('secret-user'),
          LEISURELY,
        ),
      ).rejects.toThrow(/^\w+: the batch is to be sent again$/);
    } finally {
      gone.destroy();
    }
  });
});
