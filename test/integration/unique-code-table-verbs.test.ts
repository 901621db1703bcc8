import { createHash } from 'node:crypto';
import { DynamoDBClient, ScanCommand } from '@aws-sdk/client-dynamodb';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { CfnOutput, Duration } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { EventBridge } from 'cdk-localhost/event-bridge';
import { Sqs } from 'cdk-localhost/sqs';
import { type RunningStack, startStack } from 'cdk-localhost/testing/stack';
import { clientFor, eventually } from 'cdk-localhost/testing/stand-ins';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deniedCalls, expectAllUsed } from './permissions';
import { CodeIndex, CodeVerb, UniqueCodeTable } from '../../src';
import type { CodeEventDetail } from '../../src/unique-code-table/contract';

/** Every verb and the events, through the real bundles, with the permissions of the template. */
let running: RunningStack;
let url: string;
let lambda: LambdaClient;

beforeAll(async () => {
  running = await startStack(
    stack => {
      const codes = new UniqueCodeTable(stack, 'Codes', {
        verbs: Object.values(CodeVerb),
        indexes: [CodeIndex.REFERENCE, CodeIndex.USED_BY],
        timeToLive: Duration.days(30),
        eventBus: new events.EventBus(stack, 'Bus'),
        httpApi: { allowAnonymous: true },
      });
      const redeemed = new sqs.Queue(stack, 'Redeemed', { queueName: 'redeemed' });
      codes.onCodeEvent('OnRedeemed', {
        eventPattern: { detailType: ['CodeRedeemed'] },
        target: new targets.SqsQueue(redeemed),
      });
      new CfnOutput(stack, 'Url', { value: codes.url! });
    },
    { concurrency: 1 },
  );
  url = running.system.outputs.Url;
  lambda = new LambdaClient(clientFor(running, 'lambda'));
});
afterAll(async () => {
  lambda.destroy();
  await running.stop();
});

type Body = Record<string, unknown>;

async function post(path: string, body: Body, headers: Record<string, string> = {}) {
  const response = await fetch(`${url}/codes${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  });
  return { status: response.status, body: (await response.json()) as Body };
}

async function invoke(handler: string, event: Body): Promise<Body> {
  const { Payload } = await lambda.send(
    new InvokeCommand({ FunctionName: `Codes-${handler}`, Payload: JSON.stringify(event) }),
  );
  return JSON.parse(Buffer.from(Payload!).toString()) as Body;
}

/** What the bus got of a code, oldest first. */
function told(code: string): [string, CodeEventDetail][] {
  const codeHash = createHash('sha256').update(code).digest('hex');
  return running.system
    .service(EventBridge)
    .events.map(({ event }) => [event['detail-type'], event.detail as CodeEventDetail] as const)
    .filter(([, detail]) => detail.codeHash === codeHash)
    .map(([type, detail]) => [type, detail]);
}

/** What the functions counted, by function and metric. */
function counted(handler: string): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const line of running.logs) {
    if (!line.startsWith(`Codes-${handler} | {`) || !line.includes('"_aws"')) continue;
    const entry = JSON.parse(line.slice(line.indexOf('{'))) as Record<string, number> & {
      _aws: { CloudWatchMetrics: { Metrics: { Name: string }[] }[] };
    };
    for (const { Name } of entry._aws.CloudWatchMetrics[0].Metrics) {
      sums[Name] = (sums[Name] ?? 0) + entry[Name];
    }
  }
  return sums;
}

const HANDLERS: Record<string, readonly string[]> = {
  IssueHandler: ['dynamodb:PutItem'],
  ImportHandler: ['dynamodb:PutItem'],
  ValidateHandler: ['dynamodb:GetItem'],
  LookUpHandler: ['dynamodb:GetItem'],
  RedeemHandler: ['dynamodb:UpdateItem'],
  RollBackHandler: ['dynamodb:UpdateItem'],
  RevokeHandler: ['dynamodb:UpdateItem'],
  ReinstateHandler: ['dynamodb:UpdateItem'],
  ListHandler: ['dynamodb:Query'],
};

/** Each verb once, by invoke, whichever test needs it first. */
let life: Promise<void> | undefined;
const lived = () => (life ??= liveOnce());
async function liveOnce(): Promise<void> {
  const { codes } = await invoke('ImportHandler', { codes: ['gift-0001'], anyFormat: true });
  const [code] = codes as string[];
  expect(await invoke('ValidateHandler', { code })).toMatchObject({ valid: true });
  expect(await invoke('RedeemHandler', { code, idempotencyKey: 'a' })).toMatchObject({
    redemptionsLeft: 0,
  });
  expect(await invoke('RedeemHandler', { code, idempotencyKey: 'b' })).toMatchObject({
    errorType: 'CodeUsedUp',
  });
  const { redemptions } = (await invoke('LookUpHandler', { code })) as { redemptions: Body[] };
  expect(await invoke('RollBackHandler', { code, redemptionId: redemptions[0].redemptionId })).toMatchObject({
    redemptionsLeft: 1,
  });
  expect(await invoke('RevokeHandler', { code })).toMatchObject({ code });
  expect(await invoke('ReinstateHandler', { code })).toMatchObject({ state: 'ACTIVE' });
  expect(await invoke('LookUpHandler', { code: 'NOSUCHCODE' })).toMatchObject({ errorType: 'CodeUnknown' });
  const { code: hers } = await invoke('IssueHandler', { usedBy: 'bea' });
  expect((await invoke('ListHandler', { usedBy: 'bea' })).codes).toMatchObject([{ code: hers }]);
  await eventually(() => told(code).length === 5);
  expect(told(code)[0][0]).toBe('CodeImported');
}

describe('the whole life of a code', () => {
  test('over HTTP: the code travels in the body, and the bus hears of each step', async () => {
    const issued = await post('', { reference: 'order 7', usedBy: 'ann', description: 'a secret wish' });
    const code = issued.body.code as string;
    expect(issued).toEqual({
      status: 201,
      body: { code: expect.stringMatching(/^[A-Z0-9]{8}$/), expiresOn: expect.any(String) },
    });
    expect((await post('/validate', { code })).body).toMatchObject({ valid: true, state: 'ACTIVE' });
    const once = { 'idempotency-key': 'receipt 1' };
    const redeemed = await post('/redeem', { code, by: 'till 4', reference: 'receipt 1' }, once);
    expect([redeemed.status, redeemed.body.redemptionsLeft]).toEqual([201, 0]);
    expect((await post('/redeem', { code, by: 'till 4', reference: 'receipt 1' }, once)).status).toBe(200);
    const refused = await post('/redeem', { code }, { 'idempotency-key': 'receipt 2' });
    expect([refused.status, refused.body.error]).toEqual([409, 'CodeUsedUp']);
    const { redemptionId } = redeemed.body;
    expect((await post('/roll-back', { code, redemptionId, reason: 'returned' })).status).toBe(200);
    expect((await post('/revoke', { code, reason: 'stolen' })).status).toBe(200);
    expect((await post('/redeem', { code }, { 'idempotency-key': 'receipt 3' })).status).toBe(410);
    expect((await post('/reinstate', { code })).body).toEqual({ code, state: 'ACTIVE' });
    expect((await post('/look-up', { code })).body).toMatchObject({ state: 'ACTIVE', usedBy: 'ann' });
    const listed = await post('/list', { reference: 'order 7' });
    expect((listed.body.codes as Body[]).map(each => each.code)).toEqual([code]);

    await eventually(() => told(code).length === 5);
    const common = {
      id: expect.stringMatching(/^[0-9a-f]{32}$/),
      sequenceNumber: expect.stringMatching(/^\d+$/),
      at: expect.stringMatching(/^\d{4}-.*Z$/),
      codeHash: createHash('sha256').update(code).digest('hex'),
      reference: 'order 7',
      expiresOn: expect.any(String),
    };
    expect(told(code)).toEqual([
      ['CodeIssued', { ...common, state: 'ACTIVE', redemptionsLeft: 1 }],
      [
        'CodeRedeemed',
        { ...common, state: 'USED_UP', redemptionsLeft: 0, redemptionId, redemptionReference: 'receipt 1' },
      ],
      ['CodeRolledBack', { ...common, state: 'ACTIVE', redemptionsLeft: 1, redemptionId }],
      ['CodeRevoked', { ...common, state: 'REVOKED', redemptionsLeft: 1 }],
      ['CodeReinstated', { ...common, state: 'ACTIVE', redemptionsLeft: 1 }],
    ]);
    const all = JSON.stringify(running.system.service(EventBridge).events);
    for (const secret of [code, 'ann', 'secret wish', 'till 4', 'returned', 'stolen', '#issued']) {
      expect(all).not.toContain(secret);
    }
    const queue = running.system.service(Sqs).queue('redeemed');
    const { codeHash } = common;
    const redemptions = () => queue.contents.filter(({ body }) => body.includes(codeHash));
    await eventually(() => redemptions().length === 1); // the rule for redemptions got one event of five
  });

  test('by invoking the functions, with errors by name', lived);

  test('codes stand in no log line', async () => {
    await lived();
    const { Items = [] } = await new DynamoDBClient(clientFor(running, 'dynamodb')).send(
      new ScanCommand({ TableName: 'Codes-Table' }),
    );
    const codes = Items.map(({ Code }) => Code.S!).filter(code => !code.startsWith('#'));
    expect(codes.length).toBeGreaterThan(1);
    for (const code of codes) expect(running.logs.join('\n')).not.toContain(code);
  });

  test('a bus that does not answer loses no event, and changes no order', async () => {
    running.system.service(EventBridge).failNext('PutEvents', 4, 500); // one more than a call is tried
    const { code } = await invoke('IssueHandler', {});
    await invoke('RevokeHandler', { code });
    await invoke('ReinstateHandler', { code });
    await eventually(() => told(code as string).length >= 3);
    expect(told(code as string).map(([type]) => type)).toEqual([
      'CodeIssued',
      'CodeRevoked',
      'CodeReinstated',
    ]);
    await eventually(() => (counted('EventsHandler').EventsFailed ?? 0) > 0);
  });

  test('each verb counts what it did and what it refused', async () => {
    await lived();
    const before = { redeem: counted('RedeemHandler'), issue: counted('IssueHandler') };
    const { code } = await invoke('IssueHandler', {});
    await invoke('RedeemHandler', { code });
    await invoke('RedeemHandler', { code });
    await post('/redeem', {});
    const grown = (handler: string, old: Record<string, number>, name: string) =>
      (counted(handler)[name] ?? 0) - (old[name] ?? 0);
    const of = (handler: string, old: Record<string, number>, ...names: string[]) =>
      names.map(name => grown(handler, old, name));
    await eventually(() => grown('RedeemHandler', before.redeem, 'Refused') === 2);
    expect(of('RedeemHandler', before.redeem, 'Done', 'Refused', 'NotInTime')).toEqual([1, 2, 0]);
    expect(
      of('IssueHandler', before.issue, 'Done', 'CodesIssued', 'Draws', 'Collisions', 'Exhausted'),
    ).toEqual([1, 1, 1, 0, 0]);
    for (const handler of Object.keys(HANDLERS)) expect(counted(handler).Done, handler).toBeGreaterThan(0);
    expect(counted('ImportHandler').CodesImported).toBe(1);
    expect(counted('EventsHandler').EventsPut).toBeGreaterThan(5);
  });

  test.each([...Object.keys(HANDLERS), 'EventsHandler'])(
    'the role of %s allows what it did, and no more',
    async handler => {
      await lived();
      expect(deniedCalls(running.system, `Codes-${handler}`)).toEqual([]);
      expectAllUsed(
        running.system,
        `Codes-${handler}`,
        `UniqueCodeTable/${handler}Role`,
        'unique-code-table-verbs',
      );
    },
  );
});
