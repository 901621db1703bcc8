import { Duration } from 'aws-cdk-lib';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import type * as events from 'aws-cdk-lib/aws-events';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { ENV, EVENT_SOURCE } from './contract';
import type { UniqueCodeTableProps } from './props';
import { grantPutEvents } from '../shared/event-bus';
import { createHandlerFunction } from '../shared/handler-function';
import { grantKey, TABLE_KEY } from '../shared/key';
import { grantQueueSend } from '../shared/queue-with-dead-letters';
import { InvalidPropError } from '../shared/validate';

/**
 * Events are tried for half of the day that a stream keeps its records: the other half is left for whoever
 * reads the dead-letter queue.
 */
const MAX_RECORD_AGE = Duration.hours(12);

export interface CodeEvents {
  readonly fn: lambda.Function;
  readonly deadLetterQueue: sqs.IQueue;
}

/**
 * The function that publishes on a bus what happens to codes, behind the table's stream, so that no crash
 * anywhere loses an event.
 */
export function createCodeEvents(
  scope: Construct,
  table: dynamodb.ITable,
  eventBus: events.IEventBus,
  encryptionKey: kms.IKey | undefined,
  props: UniqueCodeTableProps,
): CodeEvents {
  const streamArn = streamOf(scope, table);
  const fn = createHandlerFunction(
    scope,
    'EventsHandler',
    {
      description: 'Publishes on an event bus what happens to codes',
      asset: 'unique-code-table/events',
      export: 'handler',
      timeout: Duration.seconds(30),
      environment: {
        [ENV.eventBusArn]: eventBus.eventBusArn, // not its name, which would mean a bus of this account
        [ENV.tableArn]: table.tableArn,
        [ENV.maxRedemptions]: String(props.maxRedemptions ?? 1),
        ...(props.codesInEvents && { [ENV.codesInEvents]: 'true' }),
      },
    },
    props,
  );
  const deadLetterQueue =
    props.deadLetterQueue ??
    new sqs.Queue(scope, 'DeadLetterQueue', {
      enforceSSL: true,
      encryption: sqs.QueueEncryption.SQS_MANAGED, // it says where records are, and holds none
      retentionPeriod: Duration.days(14),
    });
  grantPutEvents(fn, scope, eventBus, EVENT_SOURCE);
  grantQueueSend(deadLetterQueue, fn);
  grantKey(encryptionKey, 'dynamodb', fn, ...TABLE_KEY.read);
  // As in AWS SAM's DynamoDBStreamReadPolicy. Not `grantStreamRead`, which lets the function list the streams
  // of all tables.
  // https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-policy-template-list.html
  iam.Grant.addToPrincipal({
    grantee: fn,
    actions: [
      'dynamodb:DescribeStream',
      'dynamodb:GetRecords',
      'dynamodb:GetShardIterator',
      'dynamodb:ListStreams',
    ],
    resourceArns: [streamArn],
  });
  fn.addEventSourceMapping('Stream', {
    eventSourceArn: streamArn,
    startingPosition: lambda.StartingPosition.TRIM_HORIZON,
    batchSize: 100,
    reportBatchItemFailures: true,
    bisectBatchOnError: true,
    maxRecordAge: MAX_RECORD_AGE,
    // Not `SqsDlq`, which also grants `sqs:GetQueueUrl` and `sqs:GetQueueAttributes`: Lambda sends only.
    onFailure: { bind: () => ({ destination: deadLetterQueue.queueArn }) },
  });
  return { fn, deadLetterQueue };
}

function streamOf(scope: Construct, table: dynamodb.ITable): string {
  const resource = table.node.defaultChild;
  const views =
    resource instanceof dynamodb.CfnTable
      ? (resource.streamSpecification as dynamodb.CfnTable.StreamSpecificationProperty | undefined)
          ?.streamViewType
      : undefined;
  if (
    table.tableStreamArn === undefined ||
    (views !== undefined && views !== dynamodb.StreamViewType.NEW_AND_OLD_IMAGES)
  ) {
    throw new InvalidPropError(
      scope,
      '`eventBus` needs a stream of `table` with both images: give the table `stream: StreamViewType.NEW_AND_OLD_IMAGES`, ' +
        'or import it by `Table.fromTableAttributes` with its `tableStreamArn`',
    );
  }
  return table.tableStreamArn;
}
