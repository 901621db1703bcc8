import {
  EventBridgeClient,
  ListRulesCommand,
  PutEventsCommand,
  type PutEventsRequestEntry,
} from '@aws-sdk/client-eventbridge';
import { CfnOutput } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EventBridge } from '../src/aws/event-bridge/event-bridge';
import { compileInput, compilePath } from '../src/aws/event-bridge/input';
import { compilePattern } from '../src/aws/event-bridge/pattern';
import { Sqs } from '../src/aws/sqs/sqs';
import { type RunningStack, startStack } from '../src/testing/stack';
import { clientFor, eventually } from '../src/testing/stand-ins';

const lines: string[] = [];
let stack: RunningStack;
let client: EventBridgeClient;

beforeAll(async () => {
  stack = await startStack(
    scope => {
      const bus = new events.EventBus(scope, 'Bus', { eventBusName: 'own' });
      const fn = new lambda.Function(scope, 'Target', {
        runtime: lambda.Runtime.NODEJS_22_X,
        handler: 'index.handler',
        code: lambda.Code.fromInline(
          'exports.handler = async event => console.log("GOT " + JSON.stringify(event));',
        ),
      });
      const queue = new sqs.Queue(scope, 'Queue', { queueName: 'queue' });
      const fifo = new sqs.Queue(scope, 'Fifo', {
        queueName: 'queue.fifo',
        fifo: true,
        contentBasedDeduplication: true,
      });
      new events.Rule(scope, 'OnPushed', {
        eventPattern: {
          source: ['git.push'],
          detailType: ['Pushed'],
          detail: { ref: events.Match.prefix('heads/') },
        },
        targets: [
          new targets.LambdaFunction(fn),
          new targets.SqsQueue(queue, { message: events.RuleTargetInput.fromEventPath('$.detail.commit') }),
        ],
      });
      new events.Rule(scope, 'OnOwn', {
        eventBus: bus,
        eventPattern: { source: ['git.push'] },
        targets: [
          new targets.SqsQueue(fifo, {
            messageGroupId: 'g',
            message: events.RuleTargetInput.fromObject({
              commit: events.EventField.fromPath('$.detail.commit'),
              text: `Ref ${events.EventField.fromPath('$.detail.ref')}!`,
            }),
          }),
        ],
      });
      new events.CfnRule(scope, 'OnPipeline', {
        eventPattern: { source: ['pipeline'] },
        targets: [{ id: 'p', arn: 'arn:aws:codepipeline:us-east-1:123456789012:p' }],
      });
      new events.Rule(scope, 'Disabled', {
        enabled: false,
        eventPattern: { source: ['git.push'] },
        targets: [new targets.SqsQueue(queue)],
      });
      const sender = new iam.Role(scope, 'Sender', {
        assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
      });
      sender.addToPolicy(
        new iam.PolicyStatement({
          actions: ['events:PutEvents'],
          resources: [bus.eventBusArn],
          conditions: {
            'ForAllValues:StringEquals': { 'events:source': 'git.push', 'events:detail-type': 'Pushed' },
          },
        }),
      );
      new CfnOutput(scope, 'BusArn', { value: bus.eventBusArn });
    },
    {
      log: (_, line) => {
        lines.push(line);
      },
    },
  );
  client = new EventBridgeClient(clientFor(stack, 'eventbridge'));
});

afterAll(async () => {
  client.destroy();
  await stack.stop();
});

beforeEach(() => {
  for (const name of ['queue', 'queue.fifo']) stack.system.service(Sqs).queue(name).purge();
});

const put = (...Entries: PutEventsRequestEntry[]) => client.send(new PutEventsCommand({ Entries }));
const pushed = (detail: object, rest: Partial<PutEventsRequestEntry> = {}) =>
  put({ Source: 'git.push', DetailType: 'Pushed', Detail: JSON.stringify(detail), ...rest });
const takeFrom = (name: string) => {
  const queue = stack.system.service(Sqs).queue(name);
  const bodies = queue.contents.map(({ body }) => body);
  queue.purge();
  return bodies;
};

describe('an event', () => {
  it('reaches the functions and queues of the rules that match it, and is recorded', async () => {
    const { deliveries } = stack.system.service(EventBridge);
    const before = deliveries.length;
    const { Entries, FailedEntryCount } = await pushed(
      { ref: 'heads/main', commit: 'abc' },
      {
        Resources: ['arn:x'],
        Time: new Date('2026-01-02T03:04:05.678Z'),
      },
    );
    expect(FailedEntryCount).toBe(0);
    const event = {
      version: '0',
      id: Entries![0].EventId,
      'detail-type': 'Pushed',
      source: 'git.push',
      account: '123456789012',
      time: '2026-01-02T03:04:05Z',
      region: 'us-east-1',
      resources: ['arn:x'],
      detail: { ref: 'heads/main', commit: 'abc' },
    };
    expect(stack.system.service(EventBridge).events.at(-1)).toEqual({ bus: 'default', event });
    expect(takeFrom('queue')).toEqual(['"abc"']);
    const got = () => lines.find(line => line.includes('GOT ') && line.includes(event.id!));
    await eventually(() => got() !== undefined);
    expect(JSON.parse(got()!.split('GOT ')[1])).toEqual(event);
    await eventually(() => deliveries.slice(before).every(({ status }) => status === 'delivered'));
    expect(deliveries.slice(before)).toHaveLength(2);
  });

  it('does not reach a rule whose pattern it does not match, nor one of another bus', async () => {
    await pushed({ ref: 'tags/v1', commit: 'abc' });
    expect([takeFrom('queue'), takeFrom('queue.fifo')]).toEqual([[], []]);
  });

  it('is transformed for its target, and sent to a group', async () => {
    await pushed({ ref: 'he said "hi"', commit: { id: 1 } }, { EventBusName: stack.system.outputs.BusArn });
    expect(stack.system.service(Sqs).queue('queue.fifo').contents).toMatchObject([{ groupId: 'g' }]);
    expect(takeFrom('queue.fifo').map(body => JSON.parse(body) as object)).toEqual([
      { commit: { id: 1 }, text: 'Ref he said "hi"!' },
    ]);
  });

  it('for a target that does not run here is recorded, and said at start', async () => {
    await put({ Source: 'pipeline', DetailType: 'x', Detail: '{}' });
    const { deliveries } = stack.system.service(EventBridge);
    await eventually(() => deliveries.at(-1)!.status === 'nowhere');
    expect(deliveries.at(-1)).toMatchObject({
      rule: 'OnPipeline',
      target: 'arn:aws:codepipeline:us-east-1:123456789012:p',
    });
    expect(stack.system.notices).toContain(
      'OnPipeline: events for arn:aws:codepipeline:us-east-1:123456789012:p are recorded only',
    );
  });

  it.each([
    ['InvalidArgument', { Source: undefined }],
    ['InvalidArgument', { DetailType: '' }],
    ['MalformedDetail', { Detail: '[1]' }],
    ['MalformedDetail', { Detail: '{' }],
    ['NotAuthorizedForSourceException', { Source: 'aws.s3' }],
    ['InvalidArgument', { EventBusName: 'unknown' }],
  ])('is refused with %s, alone, when it has %j', async (ErrorCode, wrong) => {
    const { FailedEntryCount, Entries } = await put(
      { Source: 's', DetailType: 'd', Detail: '{}', ...wrong },
      { Source: 's', DetailType: 'd', Detail: '{}' },
    );
    expect(FailedEntryCount).toBe(1);
    expect(Entries).toMatchObject([{ ErrorCode }, { EventId: expect.any(String) }]);
  });
});

it('refuses too many, too large and unknown requests', async () => {
  const entry = { Source: 's', DetailType: 'd', Detail: '{}' };
  await expect(put(...Array.from({ length: 11 }, () => entry))).rejects.toMatchObject({
    name: 'ValidationException',
  });
  const sized = (bytes: number) => ({ ...entry, Detail: JSON.stringify({ x: 'x'.repeat(bytes) }) });
  expect(await put(sized(1024 * 1024 - 20))).toMatchObject({ FailedEntryCount: 0 });
  await expect(put(sized(1024 * 1024))).rejects.toMatchObject({ name: 'ValidationException' });
  await expect(client.send(new ListRulesCommand({}))).rejects.toMatchObject({
    name: 'NotImplemented',
    message: expect.stringContaining('ListRules'),
  });
});

it('fails as often as a test wants, and the SDK tries again', async () => {
  stack.system.service(EventBridge).failNext('PutEvents', 2, 500);
  expect((await pushed({ ref: 'x' })).$metadata.attempts).toBe(3);
});

it('lets a role put the events that its policy names on its bus, and no others', async () => {
  const own = new EventBridgeClient(clientFor(stack, 'eventbridge', 'Sender'));
  const entry = { Source: 'git.push', DetailType: 'Pushed', Detail: '{}', EventBusName: 'own' };
  try {
    await own.send(new PutEventsCommand({ Entries: [entry] }));
    for (const wrong of [{ Source: 'other' }, { DetailType: 'Other' }, { EventBusName: 'default' }]) {
      const sent = own.send(new PutEventsCommand({ Entries: [entry, { ...entry, ...wrong }] }));
      await expect(sent).rejects.toMatchObject({ name: 'AccessDeniedException' });
    }
  } finally {
    own.destroy();
  }
});

describe('an event pattern', () => {
  it.each<[object, object, boolean]>([
    [{ a: ['x', 1, null, true] }, { a: 1 }, true],
    [{ a: ['x'] }, { a: 'X' }, false],
    [{ a: [null] }, { a: null }, true],
    [{ a: [null] }, {}, false],
    [{ a: { b: { c: ['x'] } } }, { a: { b: { c: 'x' } } }, true],
    [{ a: { b: { c: ['x'] } } }, { a: 'b' }, false],
    [{ a: ['x'], b: ['y'] }, { a: 'x', b: 'z' }, false],
    [{ a: ['x'] }, { a: ['w', 'x'] }, true],
    [{ a: ['x'] }, { a: [] }, false],
    [{ a: { b: ['x'] } }, { a: [{ b: 'w' }, { b: 'x' }] }, true],
    [{ a: [{ prefix: 'he' }] }, { a: 'hello' }, true],
    [{ a: [{ prefix: 'he' }] }, { a: 'she' }, false],
    [{ a: [{ prefix: { 'equals-ignore-case': 'HE' } }] }, { a: 'hello' }, true],
    [{ a: [{ suffix: '.zip' }] }, { a: 'a.zip' }, true],
    [{ a: [{ 'equals-ignore-case': 'ABC' }] }, { a: 'abc' }, true],
    [{ a: [{ 'anything-but': ['x', 1] }] }, { a: 'y' }, true],
    [{ a: [{ 'anything-but': ['x', 1] }] }, { a: 1 }, false],
    [{ a: [{ 'anything-but': 'x' }] }, {}, false],
    [{ a: [{ 'anything-but': { prefix: ['p', 'q'] } }] }, { a: 'quux' }, false],
    [{ a: [{ exists: true }] }, { a: null }, true],
    [{ a: [{ exists: true }] }, {}, false],
    [{ a: { b: [{ exists: false }] } }, { c: 1 }, true],
    [{ a: { b: [{ exists: false }] } }, { a: { b: 1 } }, false],
    [{ a: [{ numeric: ['>', 0, '<=', 5] }] }, { a: 5 }, true],
    [{ a: [{ numeric: ['>', 0, '<=', 5] }] }, { a: 6 }, false],
    [{ a: [{ numeric: ['=', 5] }] }, { a: '5' }, false],
    [{ a: ['x', { prefix: 'y' }] }, { a: 'yes' }, true],
  ])('%j for %j: %j', (pattern, event, expected) => {
    expect(compilePattern(pattern)(event)).toBe(expected);
  });

  it.each([
    [{ a: [{ wildcard: '*' }] }, 'The event pattern operator wildcard (at a) is not known here'],
    [{ a: { b: [{ cidr: '10.0.0.0/8' }] } }, 'The event pattern operator cidr (at a.b) is not known here'],
    [{ $or: [{ a: ['x'] }] }, 'The event pattern operator $or is not known here'],
    [{ a: 'x' }, 'The event pattern is invalid at a'],
    [{ a: [] }, 'an empty list matches nothing'],
    [{ a: [{ numeric: ['>', 'x'] }] }, 'numeric wants pairs'],
    [{ a: [{ prefix: 'x', suffix: 'y' }] }, 'one operator only, found prefix, suffix'],
    [{ a: [{ 'anything-but': { constructor: 'x' } }] }, 'operator constructor'],
  ])('%j is refused by name', (pattern, message) => {
    expect(() => compilePattern(pattern)).toThrow(message);
  });
});

describe('the input of a target', () => {
  const rule = { name: 'R', arn: 'arn:r' };
  const event = { time: 't', detail: { text: 'a "b"', items: [{ id: 7 }], none: null } };
  const transform = (InputTemplate: string, InputPathsMap = {}) =>
    compileInput({ InputTransformer: { InputTemplate, InputPathsMap } }, rule)(event);

  it.each([
    ['{"x": <t>}', '{"x":"a \\"b\\""}'],
    ['{"x": "say <t>"}', '{"x":"say a \\"b\\""}'],
    ['{"x": "<o>"}', '{"x":"{\\"id\\":7}"}'],
    ['{"x": <o>, "y": <missing>}', '{"x":{"id":7},"y":null}'],
    ['"<missing>|<aws.events.rule-name>"', '"|R"'],
    ['"quoted \\" <t>"', '"quoted \\" a \\"b\\""'],
    ['<aws.events.event.json>', JSON.stringify(event)],
    ['plain <aws.events.rule-arn>', 'plain "arn:r"'],
  ])('%s becomes %s', (template, expected) => {
    expect(
      transform(template, { t: '$.detail.text', o: '$.detail.items[0]', missing: '$.detail.nothing' }),
    ).toBe(expected);
  });

  it('is constant, a part, or the event', () => {
    expect(compileInput({ Input: '{"a":1}' }, rule)(event)).toBe('{"a":1}');
    expect(compileInput({ InputPath: "$.detail['text']" }, rule)(event)).toBe('"a \\"b\\""');
    expect(compileInput({}, rule)(event)).toBe(JSON.stringify(event));
  });

  it('is refused where it names what nobody defines', () => {
    expect(() => transform('<other>')).toThrow('uses <other>, which its InputPathsMap does not define');
    expect(() => compilePath('$..x')).toThrow('The path $..x is not known here');
  });
});
