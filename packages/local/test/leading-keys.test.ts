import { expect, test } from 'vitest';
import { LeadingKeys } from '../src/aws/dynamodb/leading-keys';

const keys = new LeadingKeys();
keys.add('Codes', {
  KeySchema: [
    { AttributeName: 'At', KeyType: 'RANGE' },
    { AttributeName: 'Code', KeyType: 'HASH' },
  ],
  GlobalSecondaryIndexes: [{ IndexName: 'ByUser', KeySchema: [{ AttributeName: 'User', KeyType: 'HASH' }] }],
});
const key = (Code: string) => ({ Code: { S: Code }, At: { N: '1' } });
const item = (Code: string) => ({ ...key(Code), User: { S: 'u' } });

test.each([
  ['GetItem', { Key: key('a') }, 'GetItem', 'Codes', ['a']],
  ['PutItem', { Item: item('a') }, 'PutItem', 'Codes', ['a']],
  ['Scan', {}, 'Scan', 'Codes', []],
  ['GetItem', { Key: key('a') }, 'GetItem', 'AnotherTable', []],
  [
    'Query',
    {
      KeyConditionExpression: '#c = :c AND At > :t',
      ExpressionAttributeNames: { '#c': 'Code' },
      ExpressionAttributeValues: { ':c': { S: 'a' }, ':t': { N: '0' } },
    },
    'Query',
    'Codes',
    ['a'],
  ],
  [
    'Query',
    { KeyConditionExpression: 'User = :u', ExpressionAttributeValues: { ':u': { S: 'u' } } },
    'Query',
    'Codes/index/ByUser',
    ['u'],
  ],
  [
    'BatchWriteItem',
    { RequestItems: { Codes: [{ PutRequest: { Item: item('a') } }, { DeleteRequest: { Key: key('b') } }] } },
    'BatchWriteItem',
    'Codes',
    ['a', 'b'],
  ],
  [
    'BatchGetItem',
    { RequestItems: { Codes: { Keys: [key('a'), key('b')] } } },
    'BatchGetItem',
    'Codes',
    ['a', 'b'],
  ],
  [
    'TransactWriteItems',
    {
      TransactItems: [
        { Put: { TableName: 'Codes', Item: item('a') } },
        { Delete: { TableName: 'Codes', Key: key('b') } },
      ],
    },
    'PutItem',
    'Codes',
    ['a'],
  ],
])('%s of %j has the leading keys of %s on %s: %j', (operation, body, action, table, expected) =>
  expect(keys.of(operation, body, action, table)).toEqual(expected),
);
