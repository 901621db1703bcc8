/**
 * What AWS answers to calls that blocks and common apps make, as data: names, inputs, answers, and the page
 * of AWS that says so.
 */
import type { Call, Case, ServiceName } from './run';

const API = 'https://docs.aws.amazon.com';
const of =
  (service: ServiceName, base: string) =>
  (name: string, page: string, ...calls: Call[]): Case => ({
    service,
    name,
    page: `${API}/${base}/${page}`,
    calls,
  });

const TableName = 'calls';
const item = (Id: string, more: object = {}) => ({ Id: { S: Id }, ...more });
const put = (Id: string, more: object = {}, rest: object = {}): Call => ({
  call: 'PutItem',
  input: { TableName, Item: item(Id, more), ...rest },
});
const get = (Id: string, Item: object | null): Call => ({
  call: 'GetItem',
  input: { TableName, Key: item(Id), ConsistentRead: true },
  answer: { Item },
});
const db = of('dynamodb', 'amazondynamodb/latest');
const ITEM = 'APIReference/API_PutItem.html';
const UPDATE = 'APIReference/API_UpdateItem.html';
const WRITE = 'APIReference/API_TransactWriteItems.html';

const DYNAMODB: Case[] = [
  db(
    'an item is written and read',
    ITEM,
    put('a', { N: { N: '1.50' } }),
    get('a', item('a', { N: { N: '1.5' } })),
  ),
  db('an item that is not there is no error', 'APIReference/API_GetItem.html', get('absent', null)),
  db('a table that is not there is', 'APIReference/API_GetItem.html', {
    call: 'GetItem',
    input: { TableName: 'absent', Key: item('a') },
    error: 'ResourceNotFoundException',
  }),
  db(
    'a condition that fails writes nothing, and shows the item where asked',
    ITEM,
    put('c'),
    {
      ...put('c', { A: { S: 'new' } }, { ConditionExpression: 'attribute_not_exists(Id)' }),
      error: 'ConditionalCheckFailedException',
    },
    get('c', { A: null }),
  ),
  db(
    'an update makes an item, counts, and answers what changed',
    UPDATE,
    {
      call: 'UpdateItem',
      input: {
        TableName,
        Key: item('u'),
        UpdateExpression: 'ADD N :one SET A = if_not_exists(A, :a)',
        ExpressionAttributeValues: { ':one': { N: '1' }, ':a': { S: 'first' } },
        ReturnValues: 'UPDATED_NEW',
      },
      answer: { Attributes: { N: { N: '1' }, A: { S: 'first' } } },
    },
    {
      call: 'UpdateItem',
      input: {
        TableName,
        Key: item('u'),
        UpdateExpression: 'ADD N :one SET A = if_not_exists(A, :a)',
        ExpressionAttributeValues: { ':one': { N: '41' }, ':a': { S: 'second' } },
        ReturnValues: 'ALL_NEW',
      },
      answer: { Attributes: { N: { N: '42' }, A: { S: 'first' } } },
    },
  ),
  db(
    'a set that loses its last member is gone',
    UPDATE,
    put('s', { Set: { SS: ['x'] } }),
    {
      call: 'UpdateItem',
      input: {
        TableName,
        Key: item('s'),
        UpdateExpression: 'DELETE #s :x',
        ExpressionAttributeNames: { '#s': 'Set' },
        ExpressionAttributeValues: { ':x': { SS: ['x'] } },
      },
    },
    get('s', { Set: null }),
  ),
  db('an expression with a name too many is refused', UPDATE, {
    call: 'UpdateItem',
    input: {
      TableName,
      Key: item('x'),
      UpdateExpression: 'SET A = :a',
      ExpressionAttributeNames: { '#unused': 'B' },
      ExpressionAttributeValues: { ':a': { S: 'a' } },
    },
    error: 'ValidationException',
  }),
  db('an empty key is refused', ITEM, { ...put(''), error: 'ValidationException' }),
  db('an item above 400 KB is refused', 'developerguide/Constraints.html', {
    ...put('large', { A: { S: 'x'.repeat(410_000) } }),
    error: 'ValidationException',
  }),
  db(
    'what was deleted is gone, and deleting it again is no error',
    'APIReference/API_DeleteItem.html',
    put('d'),
    {
      call: 'DeleteItem',
      input: { TableName, Key: item('d'), ReturnValues: 'ALL_OLD' },
      answer: { Attributes: item('d') },
    },
    {
      call: 'DeleteItem',
      input: { TableName, Key: item('d'), ReturnValues: 'ALL_OLD' },
      answer: { Attributes: null },
    },
    get('d', null),
  ),
  db(
    'an index finds items, in the order of its sort key',
    'APIReference/API_Query.html',
    ...['3', '1', '2'].map(day => put(`q${day}`, { Group: { S: 'q' }, Day: { N: day } })),
    {
      call: 'Query',
      input: {
        TableName,
        IndexName: 'ByGroup',
        KeyConditionExpression: '#g = :g AND #d >= :d',
        ExpressionAttributeNames: { '#g': 'Group', '#d': 'Day' },
        ExpressionAttributeValues: { ':g': { S: 'q' }, ':d': { N: '2' } },
        ScanIndexForward: false,
      },
      answer: { Count: 2, Items: [{ Id: { S: 'q3' } }, { Id: { S: 'q2' } }] },
    },
  ),
  db('an index has no consistent reads', 'APIReference/API_Query.html', {
    call: 'Query',
    input: {
      TableName,
      IndexName: 'ByGroup',
      ConsistentRead: true,
      KeyConditionExpression: '#g = :g',
      ExpressionAttributeNames: { '#g': 'Group' },
      ExpressionAttributeValues: { ':g': { S: 'q' } },
    },
    error: 'ValidationException',
  }),
  db(
    'a batch writes and reads several items',
    'APIReference/API_BatchWriteItem.html',
    {
      call: 'BatchWriteItem',
      input: { RequestItems: { [TableName]: ['b1', 'b2'].map(Id => ({ PutRequest: { Item: item(Id) } })) } },
      answer: { UnprocessedItems: {} },
    },
    {
      call: 'BatchGetItem',
      input: { RequestItems: { [TableName]: { Keys: [item('b1')] } } },
      answer: { Responses: { [TableName]: [item('b1')] } },
    },
  ),
  db(
    'a transaction does all or nothing, and says what was in the way',
    WRITE,
    put('t1', { A: { S: 'old' } }),
    {
      call: 'TransactWriteItems',
      input: {
        TransactItems: [
          { Put: { TableName, Item: item('t2') } },
          { Put: { TableName, Item: item('t1'), ConditionExpression: 'attribute_not_exists(Id)' } },
        ],
      },
      error: 'TransactionCanceledException',
    },
    get('t2', null),
    {
      call: 'TransactWriteItems',
      input: {
        TransactItems: [
          { Put: { TableName, Item: item('t3') } },
          { ConditionCheck: { TableName, Key: item('t1'), ConditionExpression: 'attribute_exists(Id)' } },
        ],
      },
    },
    get('t3', item('t3')),
  ),
  db('a transaction takes an item once', WRITE, {
    call: 'TransactWriteItems',
    input: { TransactItems: ['w', 'w'].map(Id => ({ Put: { TableName, Item: item(Id) } })) },
    error: 'ValidationException',
  }),
  db(
    'a transaction with the same token is done once, and with other items refused',
    WRITE,
    ...[1, 2].map(() => ({
      call: 'TransactWriteItems',
      input: {
        ClientRequestToken: 'calls-token-1',
        TransactItems: [
          {
            Update: {
              TableName,
              Key: item('k'),
              UpdateExpression: 'ADD N :n',
              ExpressionAttributeValues: { ':n': { N: '1' } },
            },
          },
        ],
      },
    })),
    get('k', item('k', { N: { N: '1' } })),
    {
      call: 'TransactWriteItems',
      input: {
        ClientRequestToken: 'calls-token-1',
        TransactItems: [{ Put: { TableName, Item: item('l') } }],
      },
      error: 'IdempotentParameterMismatchException',
    },
  ),
  db(
    'a transaction reads items as one',
    'APIReference/API_TransactGetItems.html',
    put('r', { A: { S: 'a' } }),
    {
      call: 'TransactGetItems',
      input: {
        TransactItems: [
          { Get: { TableName, Key: item('r'), ProjectionExpression: 'A' } },
          { Get: { TableName, Key: item('r-absent') } },
        ],
      },
      answer: { Responses: [{ Item: { A: { S: 'a' } } }, { Item: null }] },
    },
  ),
];

const queue = of('sqs', 'AWSSimpleQueueService/latest');
const SEND = 'APIReference/API_SendMessage.html';
const LIMITS = 'SQSDeveloperGuide/quotas-messages.html';
const send = (MessageBody: string, rest: object = {}): Call => ({
  call: 'SendMessage',
  input: { QueueUrl: '$plain', MessageBody, ...rest },
});
const SQS: Case[] = [
  queue(
    'a message is sent, received with its attributes, and deleted',
    SEND,
    {
      ...send('hello', {
        QueueUrl: '$one',
        MessageAttributes: { A: { DataType: 'String', StringValue: 'a' } },
      }),
      answer: { MD5OfMessageBody: '5d41402abc4b2a76b9719d911017c592' },
      keep: { id: 'MessageId' },
    },
    {
      call: 'ReceiveMessage',
      input: {
        QueueUrl: '$one',
        MessageAttributeNames: ['All'],
        MessageSystemAttributeNames: ['ApproximateReceiveCount'],
      },
      answer: {
        Messages: [
          {
            MessageId: '$id',
            Body: 'hello',
            Attributes: { ApproximateReceiveCount: '1' },
            MessageAttributes: { A: { StringValue: 'a' } },
          },
        ],
      },
      keep: { receipt: 'Messages.0.ReceiptHandle' },
    },
    { call: 'ReceiveMessage', input: { QueueUrl: '$one' }, answer: { Messages: null } },
    { call: 'DeleteMessage', input: { QueueUrl: '$one', ReceiptHandle: '$receipt' } },
    {
      call: 'GetQueueAttributes',
      input: { QueueUrl: '$one', AttributeNames: ['All'] },
      answer: {
        Attributes: { ApproximateNumberOfMessages: '0', ApproximateNumberOfMessagesNotVisible: '0' },
      },
    },
  ),
  queue('a queue that is not there', 'APIReference/API_GetQueueUrl.html', {
    call: 'GetQueueUrl',
    input: { QueueName: 'absent' },
    error: 'QueueDoesNotExist',
  }),
  queue('a message takes 1 MiB', LIMITS, send('x'.repeat(1024 * 1024))),
  queue('and no byte more', LIMITS, { ...send('x'.repeat(1024 * 1024 + 1)), error: 'InvalidParameterValue' }),
  queue('a delay above 900 seconds is refused', SEND, {
    ...send('x', { DelaySeconds: 901 }),
    error: 'InvalidParameterValue',
  }),
  queue('characters outside of XML are refused', SEND, {
    ...send('\u0000'),
    error: 'InvalidMessageContents',
  }),
  queue('a plain queue takes no deduplication id', SEND, {
    ...send('x', { MessageDeduplicationId: 'd' }),
    error: 'InvalidParameterValue',
  }),
  queue('a FIFO queue wants a group', SEND, {
    call: 'SendMessage',
    input: { QueueUrl: '$fifo', MessageBody: 'x', MessageDeduplicationId: 'd' },
    error: 'MissingParameter',
  }),
  queue(
    'a FIFO queue takes a message once for each deduplication id, in order',
    'SQSDeveloperGuide/FIFO-queues-exactly-once-processing.html',
    ...['1', '1', '2'].map(id => ({
      call: 'SendMessage',
      input: {
        QueueUrl: '$fifo',
        MessageBody: `body ${id}`,
        MessageGroupId: 'g',
        MessageDeduplicationId: id,
      },
    })),
    {
      call: 'ReceiveMessage',
      input: { QueueUrl: '$fifo', MaxNumberOfMessages: 10 },
      answer: { Messages: [{ Body: 'body 1' }, { Body: 'body 2' }] },
    },
  ),
  queue(
    'a batch may succeed in part; ids in it are distinct',
    'APIReference/API_SendMessageBatch.html',
    {
      call: 'SendMessageBatch',
      input: {
        QueueUrl: '$plain',
        Entries: [
          { Id: 'a', MessageBody: 'x' },
          { Id: 'b', MessageBody: 'x', DelaySeconds: 901 },
        ],
      },
      answer: {
        Successful: [{ Id: 'a' }],
        Failed: [{ Id: 'b', SenderFault: true, Code: 'InvalidParameterValue' }],
      },
    },
    {
      call: 'SendMessageBatch',
      input: { QueueUrl: '$plain', Entries: ['a', 'a'].map(Id => ({ Id, MessageBody: 'x' })) },
      error: 'BatchEntryIdsNotDistinct',
    },
    { call: 'SendMessageBatch', input: { QueueUrl: '$plain', Entries: [] }, error: 'EmptyBatchRequest' },
  ),
  queue('at most 10 messages are asked for', 'APIReference/API_ReceiveMessage.html', {
    call: 'ReceiveMessage',
    input: { QueueUrl: '$plain', MaxNumberOfMessages: 11 },
    error: 'InvalidParameterValue',
  }),
  queue('a receipt that is none', 'APIReference/API_DeleteMessage.html', {
    call: 'DeleteMessage',
    input: { QueueUrl: '$plain', ReceiptHandle: 'none' },
    error: 'ReceiptHandleIsInvalid',
  }),
];

const bucket = of('s3', 'AmazonS3/latest');
const Bucket = 'calls-plain';
const object = (Key: string, rest: object = {}): Call => ({
  call: 'PutObject',
  input: { Bucket, Key, Body: `body of ${Key}`, ...rest },
});
const S3: Case[] = [
  bucket(
    'an object keeps its body, type and metadata',
    'API/API_PutObject.html',
    object('a', { ContentType: 'text/x', Metadata: { m: '1' } }),
    {
      call: 'GetObject',
      input: { Bucket, Key: 'a' },
      answer: { Body: 'body of a', ContentType: 'text/x', Metadata: { m: '1' }, ContentLength: 9 },
      keep: { etag: 'ETag' },
    },
    {
      call: 'GetObject',
      input: { Bucket, Key: 'a', Range: 'bytes=5-6' },
      answer: { Body: 'of', ContentRange: 'bytes 5-6/9' },
    },
    { call: 'GetObject', input: { Bucket, Key: 'a', Range: 'bytes=99-' }, error: 'InvalidRange' },
    { call: 'GetObject', input: { Bucket, Key: 'a', IfNoneMatch: '$etag' }, error: '304' },
    { call: 'GetObject', input: { Bucket, Key: 'a', IfMatch: '"other"' }, error: 'PreconditionFailed' },
  ),
  bucket('an object that is not there', 'API/API_GetObject.html', {
    call: 'GetObject',
    input: { Bucket, Key: 'absent' },
    error: 'NoSuchKey',
  }),
  bucket('a bucket that is not there', 'API/API_GetObject.html', {
    call: 'GetObject',
    input: { Bucket: 'calls-absent', Key: 'a' },
    error: 'NoSuchBucket',
  }),
  bucket(
    'a write on condition that there is none',
    'userguide/conditional-writes.html',
    object('once', { IfNoneMatch: '*' }),
    { ...object('once', { IfNoneMatch: '*' }), error: 'PreconditionFailed' },
  ),
  bucket('a key has up to 1,024 bytes', 'userguide/object-keys.html', object('é'.repeat(512)), {
    ...object(`${'é'.repeat(512)}x`),
    error: 'KeyTooLongError',
  }),
  bucket('a checksum that is wrong is refused', 'userguide/checking-object-integrity.html', {
    ...object('bad', { ChecksumSHA256: 'A'.repeat(43) + '=' }),
    error: 'BadDigest',
  }),
  bucket('metadata above 2 KB is refused', 'userguide/UsingMetadata.html', {
    ...object('meta', { Metadata: { m: 'x'.repeat(2048) } }),
    error: 'MetadataTooLarge',
  }),
  bucket(
    'tags come with an object',
    'userguide/object-tagging.html',
    object('tagged', { Tagging: 'a=1&b=2' }),
    { call: 'GetObject', input: { Bucket, Key: 'tagged' }, answer: { TagCount: 2 } },
    {
      call: 'GetObjectTagging',
      input: { Bucket, Key: 'tagged' },
      answer: {
        TagSet: [
          { Key: 'a', Value: '1' },
          { Key: 'b', Value: '2' },
        ],
      },
    },
  ),
  bucket(
    'a listing has prefixes and pages',
    'API/API_ListObjectsV2.html',
    ...['l/1', 'l/2/x', 'l/2/y', 'l/3'].map(key => object(key)),
    {
      call: 'ListObjectsV2',
      input: { Bucket, Prefix: 'l/', Delimiter: '/' },
      answer: {
        KeyCount: 3,
        Contents: [{ Key: 'l/1' }, { Key: 'l/3' }],
        CommonPrefixes: [{ Prefix: 'l/2/' }],
      },
    },
    {
      call: 'ListObjectsV2',
      input: { Bucket, Prefix: 'l/', MaxKeys: 3 },
      answer: { IsTruncated: true },
      keep: { token: 'NextContinuationToken' },
    },
    {
      call: 'ListObjectsV2',
      input: { Bucket, Prefix: 'l/', ContinuationToken: '$token' },
      answer: { IsTruncated: false, Contents: [{ Key: 'l/3' }] },
    },
  ),
  bucket(
    'a versioned bucket keeps what is overwritten and what is deleted',
    'userguide/Versioning.html',
    { ...object('v', { Bucket: 'calls-versioned', Body: 'one' }), keep: { first: 'VersionId' } },
    object('v', { Bucket: 'calls-versioned', Body: 'two' }),
    {
      call: 'GetObject',
      input: { Bucket: 'calls-versioned', Key: 'v', VersionId: '$first' },
      answer: { Body: 'one' },
    },
    { call: 'DeleteObject', input: { Bucket: 'calls-versioned', Key: 'v' }, answer: { DeleteMarker: true } },
    { call: 'GetObject', input: { Bucket: 'calls-versioned', Key: 'v' }, error: 'NoSuchKey' },
  ),
  bucket(
    'an object that is deleted twice',
    'API/API_DeleteObject.html',
    object('gone'),
    {
      call: 'DeleteObject',
      input: { Bucket, Key: 'gone' },
    },
    { call: 'DeleteObject', input: { Bucket, Key: 'gone' } },
  ),
  bucket(
    'a part that is too small is refused when the upload is completed',
    'userguide/qfacts.html',
    { call: 'CreateMultipartUpload', input: { Bucket, Key: 'parts' }, keep: { upload: 'UploadId' } },
    ...[1, 2].map(PartNumber => ({
      call: 'UploadPart',
      input: { Bucket, Key: 'parts', UploadId: '$upload', PartNumber, Body: 'small' },
      keep: { [`part${PartNumber}`]: 'ETag' },
    })),
    {
      call: 'CompleteMultipartUpload',
      input: {
        Bucket,
        Key: 'parts',
        UploadId: '$upload',
        MultipartUpload: { Parts: [1, 2].map(PartNumber => ({ PartNumber, ETag: `$part${PartNumber}` })) },
      },
      error: 'EntityTooSmall',
    },
    { call: 'AbortMultipartUpload', input: { Bucket, Key: 'parts', UploadId: '$upload' } },
  ),
];

const secret = of('secretsManager', 'secretsmanager/latest');
const PUT = 'apireference/API_PutSecretValue.html';
const value = (SecretId: string, SecretString: string, rest: object = {}): Call => ({
  call: 'PutSecretValue',
  input: { SecretId, SecretString, ...rest },
});
const read = (SecretId: string, rest: object, answer: object): Call => ({
  call: 'GetSecretValue',
  input: { SecretId, ...rest },
  answer,
});
const TOKEN = 'token-of-thirty-two-characters-1';
const SECRETS: Case[] = [
  secret(
    'a new value is the current one, and the one before the previous',
    'userguide/whats-in-a-secret.html',
    value('calls-stages', 'one'),
    value('calls-stages', 'two'),
    read('calls-stages', {}, { SecretString: 'two', VersionStages: ['AWSCURRENT'] }),
    read('calls-stages', { VersionStage: 'AWSPREVIOUS' }, { SecretString: 'one' }),
  ),
  secret(
    'a stage that no version has',
    'apireference/API_GetSecretValue.html',
    value('calls-pending', 'one'),
    {
      call: 'GetSecretValue',
      input: { SecretId: 'calls-pending', VersionStage: 'AWSPENDING' },
      error: 'ResourceNotFoundException',
    },
  ),
  secret(
    'a value may wait as AWSPENDING, and be moved',
    'apireference/API_UpdateSecretVersionStage.html',
    { ...value('calls-moved', 'one'), keep: { old: 'VersionId' } },
    { ...value('calls-moved', 'two', { VersionStages: ['AWSPENDING'] }), keep: { pending: 'VersionId' } },
    read('calls-moved', {}, { SecretString: 'one' }),
    {
      call: 'UpdateSecretVersionStage',
      input: {
        SecretId: 'calls-moved',
        VersionStage: 'AWSCURRENT',
        MoveToVersionId: '$pending',
        RemoveFromVersionId: '$old',
      },
    },
    read('calls-moved', {}, { SecretString: 'two' }),
    read('calls-moved', { VersionStage: 'AWSPREVIOUS' }, { SecretString: 'one' }),
  ),
  secret(
    'a token makes one version',
    PUT,
    { ...value('calls-token', 'one', { ClientRequestToken: TOKEN }), answer: { VersionId: TOKEN } },
    { ...value('calls-token', 'one', { ClientRequestToken: TOKEN }), answer: { VersionId: TOKEN } },
    { ...value('calls-token', 'two', { ClientRequestToken: TOKEN }), error: 'ResourceExistsException' },
  ),
  secret(
    'an ARN may lack its last six characters',
    'userguide/troubleshoot.html',
    value('calls-arn', 'one'),
    { call: 'DescribeSecret', input: { SecretId: 'calls-arn' }, keep: { arn: 'ARN' } },
    read('$arn', {}, { SecretString: 'one' }),
    read('arn:aws:secretsmanager:us-east-1:123456789012:secret:calls-arn', {}, { SecretString: 'one' }),
  ),
  secret('a secret that is not there', 'apireference/API_GetSecretValue.html', {
    call: 'GetSecretValue',
    input: { SecretId: 'calls-absent' },
    error: 'ResourceNotFoundException',
  }),
];

const bus = of('eventbridge', 'eventbridge/latest');
const EVENTS = 'APIReference/API_PutEvents.html';
const entry = (more: object = {}) => ({
  Source: 'calls',
  DetailType: 'Called',
  Detail: '{}',
  EventBusName: 'calls',
  ...more,
});
const events = (answer: object, ...Entries: object[]): Call => ({
  call: 'PutEvents',
  input: { Entries },
  answer,
});
const EVENTBRIDGE: Case[] = [
  bus('an event is taken', EVENTS, events({ FailedEntryCount: 0 }, entry())),
  bus(
    'entries fail one by one',
    EVENTS,
    events(
      {
        FailedEntryCount: 3,
        Entries: [
          {},
          { ErrorCode: 'MalformedDetail' },
          { ErrorCode: 'InvalidArgument' },
          { ErrorCode: 'NotAuthorizedForSourceException' },
        ],
      },
      entry(),
      entry({ Detail: '{' }),
      entry({ Source: undefined }),
      entry({ Source: 'aws.s3' }),
    ),
  ),
  bus('a call takes ten entries', EVENTS, {
    call: 'PutEvents',
    input: { Entries: Array.from({ length: 11 }, () => entry()) },
    error: 'ValidationException',
  }),
  bus(
    'and 1 MiB of them',
    'userguide/eb-putevents.html',
    events({ FailedEntryCount: 0 }, entry({ Detail: JSON.stringify({ x: 'x'.repeat(1000 * 1024) }) })),
  ),
  bus('no more', 'userguide/eb-putevents.html', {
    call: 'PutEvents',
    input: { Entries: [entry({ Detail: JSON.stringify({ x: 'x'.repeat(1024 * 1024) }) })] },
    error: 'ValidationException',
  }),
];

export const CASES: Case[] = [...DYNAMODB, ...SQS, ...S3, ...SECRETS, ...EVENTBRIDGE];

/** What cases find there, by the call that makes it where no template does. */
export const RESOURCES: readonly {
  readonly service: ServiceName;
  readonly call: string;
  readonly input: object;
}[] = [
  {
    service: 'dynamodb',
    call: 'CreateTable',
    input: {
      TableName,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: [
        { AttributeName: 'Id', AttributeType: 'S' },
        { AttributeName: 'Group', AttributeType: 'S' },
        { AttributeName: 'Day', AttributeType: 'N' },
      ],
      KeySchema: [{ AttributeName: 'Id', KeyType: 'HASH' }],
      GlobalSecondaryIndexes: [
        {
          IndexName: 'ByGroup',
          KeySchema: [
            { AttributeName: 'Group', KeyType: 'HASH' },
            { AttributeName: 'Day', KeyType: 'RANGE' },
          ],
          Projection: { ProjectionType: 'ALL' },
        },
      ],
    },
  },
  { service: 'sqs', call: 'CreateQueue', input: { QueueName: 'calls-plain' } },
  { service: 'sqs', call: 'CreateQueue', input: { QueueName: 'calls-one' } },
  {
    service: 'sqs',
    call: 'CreateQueue',
    input: { QueueName: 'calls.fifo', Attributes: { FifoQueue: 'true' } },
  },
  { service: 's3', call: 'CreateBucket', input: { Bucket } },
  { service: 's3', call: 'CreateBucket', input: { Bucket: 'calls-versioned' } },
  {
    service: 's3',
    call: 'PutBucketVersioning',
    input: { Bucket: 'calls-versioned', VersioningConfiguration: { Status: 'Enabled' } },
  },
  ...['stages', 'pending', 'moved', 'token', 'arn'].map(name => ({
    service: 'secretsManager' as const,
    call: 'CreateSecret',
    input: { Name: `calls-${name}`, SecretString: 'first' },
  })),
  { service: 'eventbridge', call: 'CreateEventBus', input: { Name: 'calls' } },
];

/** The queues' addresses, by the names under which cases use them. */
export const QUEUES = { plain: 'calls-plain', one: 'calls-one', fifo: 'calls.fifo' } as const;
