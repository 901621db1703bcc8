import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type * as http from 'node:http';
import {
  CreateTableCommand,
  DeleteItemCommand,
  DeleteTableCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
} from '@aws-sdk/client-dynamodb';
import { type RunningStack, startStack } from 'cdk-localhost/testing/stack';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { FaultyWire, seeded } from './faulty-wire';
import { DYNAMODB, type DynamoDb } from '../../lambda-src/shared/aws/dynamodb';
import { jsonClient } from '../../lambda-src/shared/aws/json';
import type { Timing } from '../../lambda-src/shared/clock';
import { createLog } from '../../lambda-src/shared/log';
import { dynamodbLister, dynamodbReader } from '../../lambda-src/unique-code-table/adapters/dynamodb-reader';
import { dynamodbUpdater } from '../../lambda-src/unique-code-table/adapters/dynamodb-updater';
import { dynamodbWriter } from '../../lambda-src/unique-code-table/adapters/dynamodb-writer';
import type { IssueRules } from '../../lambda-src/unique-code-table/core/issue';
import { createHandler } from '../../lambda-src/unique-code-table/handler';
import { issuingVerbs } from '../../lambda-src/unique-code-table/issue/verbs';
import { usingVerbs } from '../../lambda-src/unique-code-table/use/verbs';
import { CodeFormat } from '../../src';
import type { Verb } from '../../src/unique-code-table/contract';
import { lambdaContext, sampleEvent } from '../events';
import { environmentAt } from '../shared/aws/environment';

/**
 * Every verb over its real adapters and an engine that speaks DynamoDB's protocol: the runner's, or with
 * `DYNAMODB_ENDPOINT` another.
 */
const TABLE_NAME = 'Verbs';
const credentials = { accessKeyId: 'developer', secretAccessKey: 'local' };

let running: RunningStack | undefined;
let wire: FaultyWire;
let client: DynamoDb;
/** The same through the wire, which loses answers: each of its requests costs twice. */
let lossy: DynamoDb;
/** Capacity units of what was done, as the engine says it. */
let units = 0;
let direct: DynamoDBClient;
let now: number;

beforeAll(async () => {
  let endpoint = process.env.DYNAMODB_ENDPOINT;
  if (!endpoint) {
    running = await startStack(() => undefined);
    endpoint = running.system.endpoints.dynamodb;
  }
  wire = new FaultyWire(endpoint);
  const options = { region: 'us-east-1', credentials, maxAttempts: 1 };
  client = metered(jsonClient(DYNAMODB, 'once', environmentAt(endpoint)));
  lossy = metered(jsonClient(DYNAMODB, 'once', environmentAt(await wire.listen())));
  direct = new DynamoDBClient({ ...options, endpoint });
  const text = (AttributeName: string) => ({ AttributeName, AttributeType: 'S' as const });
  const index = (IndexName: string, attribute: string) => ({
    IndexName,
    KeySchema: [
      { AttributeName: attribute, KeyType: 'HASH' as const },
      { AttributeName: 'CreatedOn', KeyType: 'RANGE' as const },
    ],
    Projection: { ProjectionType: 'INCLUDE' as const, NonKeyAttributes: ['TimeToExist'] },
  });
  await direct.send(
    new CreateTableCommand({
      TableName: TABLE_NAME,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: ['Code', 'Reference', 'UsedBy', 'CreatedOn'].map(text),
      KeySchema: [{ AttributeName: 'Code', KeyType: 'HASH' }],
      GlobalSecondaryIndexes: [index('ByReference', 'Reference'), index('ByUsedBy', 'UsedBy')],
    }),
  );
});
beforeEach(() => {
  now = Date.UTC(2026, 10, 24);
});
afterAll(async () => {
  await direct.send(new DeleteTableCommand({ TableName: TABLE_NAME }));
  direct.destroy();
  wire.close();
  await running?.stop();
});

function metered(bare: DynamoDb): DynamoDb {
  return {
    call: async (operation, input, options) => {
      const output = await bare.call(operation, { ...input, ReturnConsumedCapacity: 'TOTAL' }, options);
      const { ConsumedCapacity = [] } = output as { ConsumedCapacity?: Capacity | Capacity[] };
      for (const { CapacityUnits = 0 } of [ConsumedCapacity].flat()) units += CapacityUnits;
      return output;
    },
  };
}
type Capacity = { CapacityUnits?: number };

/** Waits are short but real, so that racing requests do not spin; the clock of the codes is the test's. */
const timing: Timing = {
  now: () => now,
  random: Math.random,
  sleep: () => new Promise(resolve => setTimeout(resolve, 1 + Math.random() * 4)),
};

const RULES: IssueRules & { maxRedemptions: number } = {
  format: CodeFormat.DEFAULT._format,
  itemsPerCode: 2,
  idempotencyWindow: 86_400,
  timeToLive: 3600,
  indexes: ['ByReference', 'ByUsedBy'],
  maxRedemptions: 1,
};

type Body = Record<string, unknown>;

function handlers(changes: Partial<typeof RULES> = {}, reuseExpiredCodes = false) {
  const rules = { ...RULES, ...changes, itemsPerCode: reuseExpiredCodes ? 1 : 2 };
  const ports = { clock: timing, log: createLog('INFO', () => undefined) };
  const all = {
    ...ports,
    writer: dynamodbWriter(
      client,
      { tableName: TABLE_NAME, expiring: true, reuseExpiredCodes, oldRecordExcess: 0 },
      timing,
    ),
    updater: dynamodbUpdater(client, TABLE_NAME, timing),
    reader: dynamodbReader(client, TABLE_NAME, timing),
    lister: dynamodbLister(client, TABLE_NAME, timing),
    randomBytes,
    randomId: randomUUID,
    sha256: (text: string) => createHash('sha256').update(text).digest('hex'),
    rules,
  };
  const verbs = { ...issuingVerbs(all), ...usingVerbs(all) };
  const context = { ...lambdaContext, getRemainingTimeInMillis: () => 60_000 };
  return {
    call: async (verb: Verb, input: Body) =>
      (await createHandler(verbs[verb], ports)(input, context)) as Body,
    /** What a direct call came to: the answer, or the error's name. */
    outcome: async (verb: Verb, input: Body): Promise<string> => {
      try {
        await createHandler(verbs[verb], ports)(input, context);
        return 'done';
      } catch (error) {
        return (error as Error).name;
      }
    },
    http: async (verb: Verb, body: Body, headers: Record<string, string> = {}) => {
      const event = sampleEvent('unique-code-table/events/http-api.json', {
        body: JSON.stringify(body),
        headers,
      });
      const answer = (await createHandler(verbs[verb], ports)(event, context)) as {
        statusCode: number;
        headers: Record<string, string>;
        body: string;
      };
      return {
        status: answer.statusCode,
        replayed: answer.headers['idempotent-replayed'],
        body: JSON.parse(answer.body) as Body,
      };
    },
  };
}

const call = (verb: Verb, input: Body) => handlers().call(verb, input);
const outcome = (verb: Verb, input: Body) => handlers().outcome(verb, input);
const post = (verb: Verb, body: Body, headers?: Record<string, string>) =>
  handlers().http(verb, body, headers);
const newCode = async (input: Body = {}): Promise<string> => (await call('issue', input)).code as string;
const itemOf = async (code: string) =>
  (
    await direct.send(
      new GetItemCommand({ TableName: TABLE_NAME, Key: { Code: { S: code } }, ConsistentRead: true }),
    )
  ).Item;
const deleteItem = (code: string) =>
  direct.send(new DeleteItemCommand({ TableName: TABLE_NAME, Key: { Code: { S: code } } }));

describe('redeem', () => {
  test('uses a code once, and refuses the second redemption', async () => {
    const code = await newCode();
    const first = await post(
      'redeem',
      { code, by: 'till 4', reference: 'order 9' },
      { 'idempotency-key': 'a' },
    );
    expect(first).toEqual({
      status: 201,
      replayed: undefined,
      body: {
        code,
        redemptionId: expect.stringMatching(/^[0-9a-f]{64}$/),
        redeemedOn: '2026-11-24T00:00:00.000Z',
        redemptionsLeft: 0,
        expiresOn: '2026-11-24T01:00:00Z',
      },
    });
    expect(await post('redeem', { code }, { 'idempotency-key': 'b' })).toMatchObject({
      status: 409,
      body: { error: 'CodeUsedUp' },
    });
    now += 1000;
    const again = await post(
      'redeem',
      { code, by: 'till 4', reference: 'order 9' },
      { 'idempotency-key': 'a' },
    );
    expect(again).toEqual({ ...first, status: 200, replayed: 'true' });
    expect(await post('redeem', { code, by: 'till 5' }, { 'idempotency-key': 'a' })).toMatchObject({
      status: 422,
    });
  });

  test('over HTTP needs a key', async () => {
    expect(await post('redeem', { code: await newCode() })).toMatchObject({
      status: 400,
      body: { message: expect.stringMatching(/Idempotency-Key is missing/) },
    });
  });

  test('of thirty at a time lets as many through as the code allows', async () => {
    const code = await newCode({ maxRedemptions: 10 });
    const outcomes = await Promise.all(
      Array.from({ length: 30 }, (_, index) => outcome('redeem', { code, idempotencyKey: `r${index}` })),
    );
    expect(outcomes.filter(name => name === 'done')).toHaveLength(10);
    expect(outcomes.filter(name => name === 'CodeUsedUp')).toHaveLength(20);
    expect((await itemOf(code))?.RedemptionIds.SS).toHaveLength(10);
  });

  test('answers what stands in its way', async () => {
    const revoked = await newCode();
    await call('revoke', { code: revoked });
    expect(await outcome('redeem', { code: revoked })).toBe('CodeRevoked');
    const early = await newCode({ validFrom: '2026-11-24T00:00:10Z' });
    expect(await outcome('redeem', { code: early })).toBe('CodeNotYetValid');
    now += 10_000;
    expect(await outcome('redeem', { code: early })).toBe('done');
    expect(await outcome('redeem', { code: 'NOSUCHCODE' })).toBe('CodeUnknown');
    const owned = await newCode({ usedBy: 'ann', reference: 'x' });
    expect(await outcome('redeem', { code: owned, onlyIf: { usedBy: 'bob' } })).toBe('ConditionNotMet');
    expect(await outcome('redeem', { code: owned, onlyIf: { usedBy: 'ann', reference: 'x' } })).toBe('done');
  });

  test('cannot touch a record of the block, whatever is sent', async () => {
    for (const code of ['#request#x', '#issued#x', '#']) {
      for (const verb of ['redeem', 'revoke', 'validate', 'lookUp', 'reinstate'] as const) {
        expect(await outcome(verb, { code })).toMatch(/InvalidInput|CodeUnknown/);
      }
    }
  });
});

describe('roll back', () => {
  test('frees the code for another redemption, and never counts again', async () => {
    const code = await newCode();
    const { redemptionId } = await call('redeem', { code, idempotencyKey: 'one' });
    const rolledBack = await post('rollBack', { code, redemptionId, reason: 'cancelled' });
    expect(rolledBack).toMatchObject({ status: 200, body: { redemptionsLeft: 1 } });
    expect(rolledBack.replayed).toBeUndefined();
    now += 1000;
    expect(await post('rollBack', { code, redemptionId })).toMatchObject({ status: 200, replayed: 'true' });
    expect(await outcome('redeem', { code, idempotencyKey: 'one' })).toBe('RedemptionRolledBack');
    expect(await outcome('redeem', { code, idempotencyKey: 'two' })).toBe('done');
    expect(await outcome('rollBack', { code, redemptionId: 'never' })).toBe('RedemptionUnknown');
    expect((await call('lookUp', { code })).redemptions).toEqual([
      { redemptionId, redeemedOn: '2026-11-24T00:00:00.000Z' },
      { redemptionId, rolledBackOn: '2026-11-24T00:00:00.000Z', reason: 'cancelled' },
      { redemptionId: expect.any(String), redeemedOn: '2026-11-24T00:00:01.000Z' },
    ]);
  });
});

describe('revoke and reinstate', () => {
  test('can be said again; the first moment and reason stay', async () => {
    const code = await newCode();
    expect(await post('revoke', { code, reason: 'stolen' })).toMatchObject({
      status: 200,
      replayed: undefined,
    });
    now += 1000;
    expect(await post('revoke', { code, reason: 'other' })).toMatchObject({ status: 200, replayed: 'true' });
    expect(await call('lookUp', { code })).toMatchObject({
      state: 'REVOKED',
      revokedOn: '2026-11-24T00:00:00.000Z',
      revokedBecause: 'stolen',
    });
    expect(await call('reinstate', { code })).toEqual({ code, state: 'ACTIVE' });
    expect(await outcome('redeem', { code })).toBe('done');
    expect(await outcome('revoke', { code: 'NOSUCHCODE' })).toBe('CodeUnknown');
    expect(await itemOf('NOSUCHCODE')).toBeUndefined();
  });
});

// 61 of them ended in a time-out, when the SDK's retries ran into each other. Here no deadline comes, as the
// clock stands still.
test('a hundred requests that race with one key all get one answer', async () => {
  const answers = await Promise.all(
    Array.from({ length: 100 }, () => post('issue', {}, { 'idempotency-key': 'hundred' })),
  );
  expect(new Set(answers.map(({ status, body }) => `${status} ${String(body.code)}`)).size).toBe(1);
  expect(answers.filter(({ replayed }) => replayed === 'true')).toHaveLength(99);
});

test('each verb takes as many units as its page says', async () => {
  const measured: Record<string, number> = {};
  const measure = async <T>(name: string, run: () => Promise<T>): Promise<T> => {
    units = 0;
    const result = await run();
    measured[name] = units;
    return result;
  };
  const kept = handlers({}, true); // a code is one item, as without `timeToLive`
  await measure('issue', () => kept.call('issue', {}));
  await measure('issue, with a key', () => kept.call('issue', { idempotencyKey: 'units' }));
  await measure('issue, ten', () => kept.call('issue', { count: 10 }));
  await measure('issue, with timeToLive', () => call('issue', {}));
  await measure('import, two', () => kept.call('import', { codes: ['UNITS001', 'UNITS002'] }));
  const code = await newCode({ maxRedemptions: 100, reference: 'units' });
  await measure('validate', () => call('validate', { code }));
  await measure('validate, unknown', () => call('validate', { code: 'NOSUCHCODE' }));
  await measure('look up', () => call('lookUp', { code }));
  const { redemptionId } = await measure('redeem', () => call('redeem', { code }));
  await measure('roll back', () => call('rollBack', { code, redemptionId }));
  await measure('revoke', () => call('revoke', { code }));
  await measure('reinstate', () => call('reinstate', { code }));
  await measure('list', () => call('list', { reference: 'units' }));
  const ids = Array.from({ length: 99 }, (_, index) => createHash('sha256').update(`${index}`).digest('hex'));
  const entries = ids.map(id => ({ M: { Id: { S: id }, On: { S: '2026-11-24T00:00:00.000Z' } } }));
  const Item = { ...(await itemOf(code))!, RedemptionIds: { SS: ids }, Redemptions: { L: entries } };
  await direct.send(new PutItemCommand({ TableName: TABLE_NAME, Item }));
  await measure('redeem, for the hundredth time', () => call('redeem', { code }));
  expect(measured).toEqual({
    issue: 1,
    'issue, with a key': 4,
    'issue, ten': 20,
    'issue, with timeToLive': 4,
    'import, two': 4,
    validate: 1,
    'validate, unknown': 2,
    'look up': 1,
    redeem: 1,
    'roll back': 1,
    revoke: 1,
    reinstate: 1,
    list: 0.5,
    'redeem, for the hundredth time': 16,
  });
});

describe('an expired code', () => {
  test.each([false, true])('is expired for every reader; deleted by DynamoDB: %s', async deleted => {
    const code = await newCode({ reference: `gone ${deleted}` });
    now += 3_600_000;
    if (deleted) await deleteItem(code);
    expect(await call('validate', { code })).toMatchObject({
      valid: false,
      state: 'EXPIRED',
      redemptionsLeft: 0,
    });
    expect(await outcome('redeem', { code })).toBe('CodeExpired');
    expect((await call('list', { reference: `gone ${deleted}` })).codes).toEqual([]);
    if (deleted) expect(await outcome('lookUp', { code })).toBe('CodeExpired');
    else expect(await call('lookUp', { code })).toMatchObject({ state: 'EXPIRED' });
  });
});

describe('import', () => {
  test('takes all or none, and the same again is success', async () => {
    const codes = ['IMPORT01', 'import-02', ' import 03 '];
    const first = await post('import', { codes, reference: 'batch 1' });
    expect(first).toMatchObject({ status: 201, body: { codes: ['IMPORT01', 'IMPORT02', 'IMPORT03'] } });
    now += 1000;
    expect(await post('import', { codes, reference: 'batch 1' })).toMatchObject({
      status: 200,
      replayed: 'true',
    });
    const other = await post('import', { codes: ['IMPORT04', 'IMPORT02'] });
    expect(other).toMatchObject({
      status: 409,
      body: { error: 'CodeTaken', message: 'Nothing was imported: taken already are IMPORT02' },
    });
    expect(await itemOf('IMPORT04')).toBeUndefined();
    expect(await call('lookUp', { code: 'import01' })).toMatchObject({
      imported: true,
      reference: 'batch 1',
    });
  });

  test('refuses what is not of the format, unless that is wanted', async () => {
    expect(await outcome('import', { codes: ['Grüße!'] })).toBe('InvalidInput');
    expect(await outcome('import', { codes: ['#issued#X'], anyFormat: true })).toBe('InvalidInput');
    expect(await outcome('import', { codes: ['TWICE1', 'twice1'] })).toBe('InvalidInput');
    expect(await outcome('import', { codes: ['Grüße!'], anyFormat: true })).toBe('done');
    expect(await call('validate', { code: 'Grüße!' })).toMatchObject({ valid: true });
    expect(await call('validate', { code: 'grüße!' })).toMatchObject({ state: 'UNKNOWN' });
  });
});

describe('list', () => {
  test('gives the codes of a reference or of a user, page by page', async () => {
    for (let batch = 0; batch < 3; batch++) {
      await call('issue', { count: 49, reference: 'big order', usedBy: `user ${batch}` });
      now += 1000;
    }
    const first = await call('list', { reference: 'big order' });
    expect(first.codes).toHaveLength(100);
    const second = await call('list', { reference: 'big order', next: first.next });
    expect(second.codes).toHaveLength(47);
    expect(second.next).toBeUndefined();
    const all = [...(first.codes as Body[]), ...(second.codes as Body[])].map(({ code }) => code);
    expect(new Set(all).size).toBe(147);
    expect((await call('list', { usedBy: 'user 1' })).codes).toHaveLength(49);
  });

  test.each([
    [{}, /`reference` or `usedBy`, one of them/],
    [{ reference: 'a', usedBy: 'b' }, /one of them/],
    [{ reference: 'a', next: 'bm9uc2Vuc2U' }, /`next` must be that of the page before/],
    [{ reference: 'a', next: Buffer.from('[1,{}]').toString('base64url') }, /`next` must be/],
  ])('refuses %j', async (input, message) => {
    await expect(call('list', input)).rejects.toThrow(message);
  });
});

/** Everything that changes one code, each as a request of its own. */
const CHANGES: Record<string, (code: string, redemptionId: string) => [Verb, Body]> = {
  import: code => ['import', { codes: [code], usedBy: 'again' }],
  redeem: code => ['redeem', { code, idempotencyKey: 'race' }],
  'redeem with another key': code => ['redeem', { code, idempotencyKey: 'race 2' }],
  'roll back': (code, redemptionId) => ['rollBack', { code, redemptionId }],
  revoke: code => ['revoke', { code }],
  reinstate: code => ['reinstate', { code }],
  validate: code => ['validate', { code }],
  'look up': code => ['lookUp', { code }],
};

describe('two verbs that race on one code', () => {
  const names = Object.keys(CHANGES);
  const pairs = names.flatMap((one, index) => names.slice(index).map(other => [one, other] as const));

  test.each(pairs)('%s and %s: the outcome is that of one order of the two', async (one, other) => {
    /** What both said and what is left in the item, for a code that was redeemed once out of twice. */
    const run = async (parallel: boolean, order: readonly [string, string]): Promise<string> => {
      const code = await newCode({ maxRedemptions: 2 });
      const { redemptionId } = await call('redeem', { code, idempotencyKey: 'before' });
      const start = (name: string) => outcome(...CHANGES[name](code, redemptionId as string));
      const said: Record<string, string[]> = {};
      const note = (name: string, result: string) => {
        said[name] = [...(said[name] ?? []), result].sort();
      };
      if (parallel) {
        const results = await Promise.all(order.map(start));
        results.forEach((result, index) => note(order[index], result));
      } else {
        for (const name of order) note(name, await start(name));
      }
      const item = (await itemOf(code))!;
      const left = {
        ids: item.RedemptionIds?.SS?.length ?? 0,
        rolledBack: item.RolledBackIds?.SS?.length ?? 0,
        history: item.Redemptions?.L?.length ?? 0,
        revoked: item.RevokedOn !== undefined,
        usedBy: item.UsedBy?.S,
      };
      return JSON.stringify([Object.entries(said).sort(), left]);
    };
    const inOrder = [await run(false, [one, other])];
    if (one !== other) inOrder.push(await run(false, [other, one]));
    const raced = await Promise.all(Array.from({ length: 2 }, () => run(true, [one, other])));
    for (const result of raced) expect(inOrder).toContain(result);
  });
});

describe.each([0.1, 0.4])('where %d of all answers are lost', share => {
  test('every verb does what it says, once', async () => {
    const random = seeded(Math.round(share * 1000));
    const faultless = client;
    client = lossy;
    wire.always = async (response: http.ServerResponse, forward: () => Promise<void>) => {
      if (random() < share) response.destroy();
      await forward();
    };
    try {
      for (let round = 0; round < 6; round++) {
        const { codes, expiresOn } = await call('issue', {
          count: 2,
          idempotencyKey: `lost ${share} ${round}`,
        });
        const [code] = codes as string[];
        expect(expiresOn).toBeDefined();
        const imported = `L${Math.round(share * 10)}X${String(round).padStart(6, '0')}`;
        expect(await call('import', { codes: [imported] })).toMatchObject({ codes: [imported] });
        const redeemed = await call('redeem', { code });
        expect(redeemed).toMatchObject({ redemptionsLeft: 0 });
        expect(await outcome('redeem', { code })).toBe('CodeUsedUp');
        await call('rollBack', { code, redemptionId: redeemed.redemptionId });
        await call('redeem', { code, idempotencyKey: 'once' });
        await call('redeem', { code, idempotencyKey: 'once' });
        await call('revoke', { code });
        expect(await call('validate', { code })).toMatchObject({ state: 'REVOKED' });
        expect(await call('reinstate', { code })).toMatchObject({ state: 'USED_UP' });
        const item = (await itemOf(code))!;
        expect([
          item.RedemptionIds.SS?.length,
          item.RolledBackIds.SS?.length,
          item.Redemptions.L?.length,
        ]).toEqual([1, 1, 3]);
      }
    } finally {
      client = faultless;
    }
  });
});

test('a code is live for one principal at any time, whatever expires, is used again and repeated', async () => {
  const random = seeded(13);
  const pick = (count: number) => Math.floor(random() * count);
  const format = CodeFormat.of({ length: 1 })._format;
  const reusing = handlers({ format, timeToLive: 600, idempotencyWindow: 86_400 }, true);
  /** Who was told a code, and until when it is live. */
  const owners = new Map<string, { owner: string; until: number }>();
  for (let step = 0; step < 150; step++) {
    now += pick(60_000);
    const [owner, key] = [`p${pick(4)}`, `k${pick(12)}`];
    let answer: Body;
    try {
      answer = await reusing.call('issue', { idempotencyKey: key, idempotencyScope: owner });
    } catch (error) {
      expect((error as Error).name).toBe('CodeSpaceExhausted');
      continue;
    }
    const { code, expiresOn } = answer as { code: string; expiresOn: string };
    expect(Date.parse(expiresOn), 'an expired code was named').toBeGreaterThan(now);
    const before = owners.get(code);
    if (before && before.until > now) expect(owner).toBe(before.owner);
    owners.set(code, { owner, until: Date.parse(expiresOn) });
  }
  expect(owners.size).toBeGreaterThan(10);
});

describe('a table of the previous version', () => {
  const put = (item: Record<string, { S: string } | { N: string }>) =>
    direct.send(new PutItemCommand({ TableName: TABLE_NAME, Item: item }));

  test('keeps working: its codes are read, redeemed, revoked and listed', async () => {
    const end = String(Math.floor(now / 1000) + 600);
    const beside = {
      CreatedOn: { S: '2026-11-01T00:00:00.000Z' },
      Nonce: { S: 'n' },
      Reference: { S: 'old order' },
    };
    await put({ Code: { S: 'OLDCODE1' }, ...beside });
    await put({ Code: { S: 'OLDCODE2' }, ...beside, TimeToExist: { N: end } });
    await put({ Code: { S: 'OLDCODE3' }, ...beside, TimeToExist: { N: '1000000000' } });
    await put({ Code: { S: '#issued#OLDCODE4' }, Nonce: { S: 'n' } });
    const states = ['OLDCODE1', 'OLDCODE2', 'OLDCODE3', 'OLDCODE4', 'OLDCODE5'].map(
      async code => (await call('validate', { code })).state,
    );
    expect(await Promise.all(states)).toEqual(['ACTIVE', 'ACTIVE', 'EXPIRED', 'EXPIRED', 'UNKNOWN']);
    expect(await call('redeem', { code: 'oldcode1' })).toMatchObject({ redemptionsLeft: 0 });
    expect(await outcome('redeem', { code: 'OLDCODE1' })).toBe('CodeUsedUp');
    await call('revoke', { code: 'OLDCODE2' });
    expect(await outcome('redeem', { code: 'OLDCODE2' })).toBe('CodeRevoked');
    expect(await outcome('redeem', { code: 'OLDCODE4' })).toBe('CodeExpired');
    const { codes } = await call('list', { reference: 'old order' });
    expect((codes as Body[]).map(({ code }) => code).sort()).toEqual(['OLDCODE1', 'OLDCODE2']);
  });
});
