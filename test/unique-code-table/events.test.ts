import { createHash } from 'node:crypto';
import { App, Stack } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import * as events from 'aws-cdk-lib/aws-events';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import type { DynamoDBRecord } from 'aws-lambda';
import { beforeEach, describe, expect, test } from 'vitest';
import { createLog } from '../../lambda-src/shared/log';
import type { CodeEvent } from '../../lambda-src/unique-code-table/core/changes';
import { createEventsHandler } from '../../lambda-src/unique-code-table/events/handler';
import { UniqueCodeTable, type UniqueCodeTableProps } from '../../src';
import { lambdaContext } from '../events';

type Item = Record<
  string,
  { S: string } | { N: string } | { SS: string[] } | { BOOL: boolean } | { L: unknown[] }
>;

let put: CodeEvent[][];
let refuse: (event: CodeEvent) => boolean;
let lines: string[];
beforeEach(() => {
  put = [];
  lines = [];
  refuse = () => false;
});

let sequence = 0;
function record(code: string, before?: Item, after?: Item, more: object = {}): DynamoDBRecord {
  const image = (item?: Item) => item && { Code: { S: code }, Nonce: { S: 'n' }, ...item };
  return {
    eventID: `event-${++sequence}`,
    dynamodb: {
      Keys: { Code: { S: code } },
      OldImage: image(before),
      NewImage: image(after),
      SequenceNumber: String(sequence),
      ApproximateCreationDateTime: 1_800_000_000,
    },
    ...more,
  } as DynamoDBRecord;
}

const handle = (records: DynamoDBRecord[], withCodes = false, remaining = 60_000) =>
  createEventsHandler({
    bus: {
      put: async given => {
        put.push([...given]);
        return given.flatMap((event, place) => (refuse(event) ? [{ place, error: 'InternalFailure' }] : []));
      },
    },
    log: createLog('INFO', line => lines.push(line)),
    rules: {
      maxRedemptions: 1,
      withCodes,
      sha256: text => createHash('sha256').update(text).digest('hex'),
    },
  })({ Records: records }, { ...lambdaContext, getRemainingTimeInMillis: () => remaining });
const types = () => put.flat().map(({ type }) => type);
const ids = (...values: string[]) => ({ SS: values });

describe('what the bus gets', () => {
  test.each<[string, Item | undefined, Item | undefined, string[]]>([
    ['a new code', undefined, {}, ['CodeIssued']],
    ['a code that was brought in', undefined, { Imported: { BOOL: true } }, ['CodeImported']],
    ['a redemption', {}, { RedemptionIds: ids('a') }, ['CodeRedeemed']],
    ['a second one', { RedemptionIds: ids('a') }, { RedemptionIds: ids('a', 'b') }, ['CodeRedeemed']],
    ['one that is rolled back', { RedemptionIds: ids('a') }, { RolledBackIds: ids('a') }, ['CodeRolledBack']],
    ['a revocation', {}, { RevokedOn: { S: '2026' } }, ['CodeRevoked']],
    ['its end', { RevokedOn: { S: '2026' } }, {}, ['CodeReinstated']],
    ['a code that is handed out again', { Nonce: { S: 'old' } }, {}, ['CodeDeleted', 'CodeIssued']],
    ['an item that is gone', {}, undefined, ['CodeDeleted']],
    ['a change by somebody else', {}, { Description: { S: 'by hand' } }, []],
  ])('%s', async (_, before, after, expected) => {
    expect(await handle([record('ABC', before, after)])).toEqual({ batchItemFailures: [] });
    expect(types()).toEqual(expected);
    expect(new Set(put.flat().map(({ detail }) => detail.id)).size).toBe(expected.length);
  });

  test.each([
    [{}, false],
    [{ userIdentity: { type: 'Service', principalId: 'dynamodb.amazonaws.com' } }, true],
    [{ userIdentity: { Type: 'Service', PrincipalId: 'dynamodb.amazonaws.com' } }, true], // as the CLI prints it
  ])('of a deletion by %j that it had expired: %s', async (by, expired) => {
    await handle([record('ABC', {}, undefined, by)]);
    expect(put[0][0].detail.expired).toBe(expired);
  });

  test('a record that the CLI has printed is published again as the same event', async () => {
    const given = record('ABC', undefined, {});
    await handle([given]);
    await handle([
      { ...given, dynamodb: { ...given.dynamodb, ApproximateCreationDateTime: '2027-01-15T08:00:00+00:00' } },
    ] as unknown as DynamoDBRecord[]);
    expect(put[1]).toEqual(put[0]);
  });

  test('nothing of the records beside the codes, and no code unless that is wanted', async () => {
    const own = [record('#request#x', undefined, {}), record('#issued#ABC', undefined, {})];
    await handle([...own, record('ABC', undefined, { UsedBy: { S: 'ann' } })]);
    expect(types()).toEqual(['CodeIssued']);
    expect(JSON.stringify(put) + lines.join()).not.toMatch(/"ABC"|ann|"n"/);
    await handle([record('ABC', undefined, {})], true);
    expect(put.at(-1)![0].detail.code).toBe('ABC');
  });
});

describe('order, and what comes again', () => {
  const life = () => [
    record('A', undefined, {}),
    record('B', undefined, {}),
    record('A', {}, { RevokedOn: { S: '2026' } }),
    record('C', undefined, {}),
  ];

  test('an event is put when those before it of the same code were taken', async () => {
    const records = life();
    await handle(records);
    expect(put.map(call => call.map(({ detail }) => detail.id))).toEqual([
      [records[0].eventID, records[1].eventID],
      [records[2].eventID, records[3].eventID],
    ]);
  });

  test('behind one that is refused nothing more is put, and all from it on comes again', async () => {
    const records = life();
    refuse = ({ detail }) => detail.id === records[1].eventID;
    expect(await handle(records)).toEqual({
      batchItemFailures: [{ itemIdentifier: records[1].dynamodb!.SequenceNumber }],
    });
    expect(put).toHaveLength(1);
    expect(lines.join()).toMatch(/"EventsPut":1,"EventsFailed":1/);
  });

  test('ten at most in a call, and the rest comes again where the time is nearly up', async () => {
    const records = Array.from({ length: 25 }, (_, index) => record(`CODE${index}`, undefined, {}));
    await handle(records);
    expect(put.map(call => call.length)).toEqual([10, 10, 5]);
    put = [];
    const answers = [60_000, 1];
    const { batchItemFailures } = await createEventsHandler({
      bus: { put: async given => (put.push([...given]), []) },
      log: createLog('INFO', () => undefined),
      rules: { maxRedemptions: 1, withCodes: false, sha256: text => text },
    })({ Records: records }, { ...lambdaContext, getRemainingTimeInMillis: () => answers.shift() ?? 1 });
    expect(put).toHaveLength(1); // at least one call, or it would never make progress
    expect(batchItemFailures).toEqual([{ itemIdentifier: records[10].dynamodb!.SequenceNumber }]);
  });

  test('whatever is refused at random, each event arrives, and those of a code in their order', async () => {
    for (let run = 0; run < 30; run++) {
      put = [];
      const codes = Array.from({ length: 40 }, () => 'ABCD'[Math.floor(Math.random() * 4)]);
      let rest = codes.map(code => record(code, undefined, {}));
      const order = rest.map(({ eventID }) => eventID!);
      const taken: string[] = [];
      refuse = ({ detail }) => {
        if (Math.random() < 0.3) return true;
        if (!taken.includes(detail.id)) taken.push(detail.id);
        return false;
      };
      while (rest.length > 0) {
        const [failed] = (await handle(rest)).batchItemFailures;
        const at = failed
          ? rest.findIndex(
              ({ dynamodb: { SequenceNumber } = {} }) => SequenceNumber === failed.itemIdentifier,
            )
          : rest.length;
        rest = rest.slice(at);
      }
      expect([...taken].sort()).toEqual([...order].sort());
      const inOrder = (all: string[], code: string) => all.filter(id => codes[order.indexOf(id)] === code);
      for (const code of 'ABCD') expect(inOrder(taken, code)).toEqual(inOrder(order, code));
    }
  });
});

describe('the construct', () => {
  const made = (props: Partial<UniqueCodeTableProps> = {}) => {
    const stack = new Stack(new App(), 'Test');
    const eventBus = new events.EventBus(stack, 'Bus');
    return { stack, codes: new UniqueCodeTable(stack, 'Codes', { eventBus, ...props }) };
  };
  const userTable = (stack: Stack, stream?: dynamodb.StreamViewType) =>
    new dynamodb.Table(stack, 'Mine', {
      partitionKey: { name: 'Code', type: dynamodb.AttributeType.STRING },
      timeToLiveAttribute: 'TimeToExist',
      stream,
    });

  test('reads the stream from its beginning, and gives a record up after half of its life', () => {
    const template = Template.fromStack(made().stack);
    template.hasResourceProperties('AWS::DynamoDB::Table', {
      StreamSpecification: { StreamViewType: 'NEW_AND_OLD_IMAGES' },
    });
    template.hasResourceProperties('AWS::Lambda::EventSourceMapping', {
      StartingPosition: 'TRIM_HORIZON',
      MaximumRecordAgeInSeconds: 43_200,
      BisectBatchOnFunctionError: true,
      FunctionResponseTypes: ['ReportBatchItemFailures'],
      DestinationConfig: { OnFailure: { Destination: Match.anyValue() } },
    });
  });

  test('has neither stream nor queue without a bus', () => {
    const stack = new Stack(new App(), 'Test');
    const codes = new UniqueCodeTable(stack, 'Codes');
    const template = Template.fromStack(stack);
    template.resourceCountIs('AWS::SQS::Queue', 0);
    template.resourceCountIs('AWS::Lambda::EventSourceMapping', 0);
    template.hasResourceProperties('AWS::DynamoDB::Table', { StreamSpecification: Match.absent() });
    expect(() => codes.metricEventsPut()).toThrow(/`metricEventsPut` needs `eventBus`.*Test\/Codes/);
    expect(() => codes.onCodeEvent('Rule')).toThrow(/`onCodeEvent` needs `eventBus`/);
  });

  test('needs both images of a table that it is given', () => {
    const stack = new Stack(new App(), 'Test');
    const eventBus = new events.EventBus(stack, 'Bus');
    const wrong = userTable(stack, dynamodb.StreamViewType.KEYS_ONLY);
    const message = /`eventBus` needs a stream of `table` with both images/;
    expect(() => new UniqueCodeTable(stack, 'Keys', { table: wrong, eventBus })).toThrow(message);
    const none = userTable(new Stack(new App(), 'Other'));
    expect(() => new UniqueCodeTable(stack, 'None', { table: none, eventBus })).toThrow(message);
    const right = userTable(new Stack(new App(), 'Third'), dynamodb.StreamViewType.NEW_AND_OLD_IMAGES);
    expect(
      new UniqueCodeTable(Stack.of(right), 'Codes', { table: right, eventBus }).eventsFunction,
    ).toBeDefined();
    const imported = dynamodb.Table.fromTableAttributes(stack, 'Imported', {
      tableName: 'Codes',
      tableStreamArn: 'arn:aws:dynamodb:us-east-1:123456789012:table/Codes/stream/2026',
    });
    expect(new UniqueCodeTable(stack, 'Own', { table: imported, eventBus }).eventsFunction).toBeDefined();
  });

  test.each<[Partial<UniqueCodeTableProps>, RegExp]>([
    [{ codesInEvents: true }, /`codesInEvents` needs `eventBus`/],
  ])('refuses %j without a bus', (props, message) => {
    const stack = new Stack(new App(), 'Test');
    expect(() => new UniqueCodeTable(stack, 'Codes', props)).toThrow(message);
  });

  test('takes a dead-letter queue that Lambda can send to', () => {
    const stack = new Stack(new App(), 'Test');
    const eventBus = new events.EventBus(stack, 'Bus');
    const fifo = new sqs.Queue(stack, 'Fifo', { fifo: true });
    expect(() => new UniqueCodeTable(stack, 'Codes', { eventBus, deadLetterQueue: fifo })).toThrow(
      /`deadLetterQueue` must be a standard queue/,
    );
    const mine = new sqs.Queue(stack, 'Mine');
    expect(new UniqueCodeTable(stack, 'Good', { eventBus, deadLetterQueue: mine }).deadLetterQueue).toBe(
      mine,
    );
  });

  test('a rule gets events of this table only, even where another stack has made it', () => {
    const { stack, codes } = made();
    codes.onCodeEvent('Redeemed', { eventPattern: { detailType: ['CodeRedeemed'] } });
    Template.fromStack(stack).hasResourceProperties('AWS::Events::Rule', {
      EventPattern: {
        source: ['cdk-serverless-blocks.unique-code-table'],
        resources: [Match.anyValue()],
        'detail-type': ['CodeRedeemed'],
      },
    });
    const other = new Stack(new App(), 'Other');
    const imported = UniqueCodeTable.fromUniqueCodeTableAttributes(other, 'Codes', {
      tableArn: 'arn:aws:dynamodb:us-east-1:123456789012:table/Codes',
      issueFunctionArn: 'arn:aws:lambda:us-east-1:123456789012:function:Issue',
      eventBus: events.EventBus.fromEventBusName(other, 'Bus', 'shop'),
    });
    imported.onCodeEvent('Issued');
    Template.fromStack(other).hasResourceProperties('AWS::Events::Rule', {
      EventBusName: 'shop',
      EventPattern: { resources: ['arn:aws:dynamodb:us-east-1:123456789012:table/Codes'] },
    });
  });

  test('measures what it does', () => {
    const { stack, codes } = made();
    const names = [
      codes.metricEventsPut(),
      codes.metricEventsFailed(),
      codes.metricEventsDelay(),
      codes.metricDeadLetters(),
    ];
    expect(names.map(({ metricName }) => metricName)).toEqual([
      'EventsPut',
      'EventsFailed',
      'IteratorAge',
      'ApproximateNumberOfMessagesVisible',
    ]);
    expect(codes.addAlarms().map(({ node }) => node.id)).toEqual(
      expect.arrayContaining(['EventsLate', 'DeadLetters', 'EventsHandlerErrors']),
    );
    Template.fromStack(stack).hasResourceProperties('AWS::CloudWatch::Alarm', {
      MetricName: 'IteratorAge',
      Threshold: 900_000,
    });
  });
});
