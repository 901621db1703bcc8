import { readFileSync } from 'node:fs';
import * as path from 'node:path';
import { describe, expect, test } from 'vitest';
import { evaluate, type Request, type Statement, UndecidedPolicy } from '../src/aws/iam/evaluate';

const TABLE = 'arn:aws:dynamodb:us-east-1:123456789012:table/Codes';
const request: Request = { action: 'dynamodb:PutItem', resource: TABLE };
const allow = (statement: Partial<Statement>): Statement => ({
  Effect: 'Allow',
  Action: 'dynamodb:PutItem',
  Resource: TABLE,
  ...statement,
});
const allows = (statement: Partial<Statement>, context?: Request['context']) =>
  evaluate([{ Statement: allow(statement) }], { ...request, context }).allowed;

interface Verdict extends Request {
  readonly allowed: boolean;
  readonly statements: Statement[];
}

/**
 * 200 requests that are allowed and 200 that are denied, of 6,000 random ones about which
 * @cloud-copilot/iam-simulate 0.1.173 and this evaluator agreed without an exception. They are recorded
 * because that package is AGPL and no part of this repository.
 */
test('agrees with the recorded verdicts of another evaluator', () => {
  const lines = readFileSync(path.join(__dirname, 'policy-verdicts.jsonl'), 'utf8').trim().split('\n');
  const verdicts = lines.map(line => JSON.parse(line) as Verdict);
  expect(verdicts.map(({ allowed }) => allowed)).toEqual([
    ...Array(200).fill(true),
    ...Array(200).fill(false),
  ]);
  for (const { allowed, statements, ...asked } of verdicts) {
    expect(evaluate([{ Statement: statements }], asked).allowed, JSON.stringify([asked, statements])).toBe(
      allowed,
    );
  }
});

describe('a request', () => {
  test('that nothing allows is denied, and no statement is named', () =>
    expect(evaluate([], request)).toEqual({ allowed: false, by: undefined }));

  test('that something allows and something denies is denied, and the Deny is named', () => {
    const deny = allow({ Effect: 'Deny', Action: '*', Resource: '*' });
    expect(evaluate([{ Statement: [allow({})] }, { Statement: deny }], request)).toEqual({
      allowed: false,
      by: deny,
    });
  });

  test.each([
    ['dynamodb:putitem', true],
    ['dynamodb:Put*', true],
    ['dynamodb:?utItem', true],
    ['*', true],
    ['dynamodb:Put', false],
    ['dynamodb:*Items', false],
  ])('of PutItem by the action %s: %s', (Action, expected) => expect(allows({ Action })).toBe(expected));

  test.each([
    ['*', true],
    ['arn:aws:dynamodb:*:*:table/Codes', true],
    ['arn:aws:dynamodb:us-east-1:123456789012:*', true],
    ['arn:aws:dynamodb:us-east-1:123456789012:table/codes', false],
    ['arn:aws:dynamodb:us-east-1:123456789012:table/Codes/index/*', false],
    ['arn:aws:*:table/Codes:*:*:*', false],
  ])('of a table by the resource %s: %s', (Resource, expected) =>
    expect(allows({ Resource })).toBe(expected),
  );

  test('by NotAction and NotResource is one that the lists do not hold', () => {
    expect(allows({ Action: undefined, NotAction: 's3:*' })).toBe(true);
    expect(allows({ Action: undefined, NotAction: 'dynamodb:*' })).toBe(false);
    expect(allows({ Resource: undefined, NotResource: 'arn:aws:s3:::*' })).toBe(true);
    expect(allows({ Resource: undefined, NotResource: TABLE })).toBe(false);
  });
});

describe('a condition', () => {
  const key = 'aws:thing';
  test.each([
    ['StringEquals', 'a', { [key]: 'a' }, true],
    ['StringEquals', 'a', { 'AWS:Thing': 'a' }, true],
    ['StringEquals', 'a', {}, false],
    ['StringEqualsIfExists', 'a', {}, true],
    ['StringNotEquals', 'a', {}, true],
    ['StringNotEquals', ['a', 'b'], { [key]: 'b' }, false],
    ['StringLike', 'dynamodb.*', { [key]: 'dynamodb.eu-west-1.amazonaws.com' }, true],
    ['StringNotLike', 'dynamodb.*', { [key]: 'sqs.eu-west-1.amazonaws.com' }, true],
    ['ForAllValues:StringEquals', ['a'], { [key]: ['a', 'b'] }, false],
    ['ForAllValues:StringEquals', ['a'], {}, true],
    ['ForAnyValue:StringEquals', ['a'], { [key]: ['a', 'b'] }, true],
    ['ForAnyValue:StringEquals', ['a'], {}, false],
    ['ForAnyValue:StringNotEquals', ['a'], {}, false],
    ['Null', 'true', {}, true],
    ['Null', 'false', {}, false],
    ['Null', 'false', { [key]: 'a' }, true],
    ['Bool', true, { [key]: 'true' }, true],
    ['NumericLessThan', 5, { [key]: '4' }, true],
    ['NumericLessThan', 5, { [key]: '5' }, false],
    ['DateGreaterThan', '2026-01-01T00:00:00Z', { [key]: '2026-01-01T00:00:01Z' }, true],
    ['ArnLike', 'arn:aws:s3:::b*', { [key]: 'arn:aws:s3:::bucket' }, true],
    ['ArnNotEquals', 'arn:aws:s3:::b*', { [key]: 'arn:aws:s3:::bucket' }, false],
  ])('%s %j of %j: %s', (operator, value, context, expected) =>
    expect(allows({ Condition: { [operator]: { [key]: value } } }, context as Request['context'])).toBe(
      expected,
    ),
  );

  test('of several keys needs all of them', () => {
    const Condition = { StringEquals: { 'aws:a': '1', 'aws:b': '2' } };
    expect(allows({ Condition }, { 'aws:a': '1' })).toBe(false);
    expect(allows({ Condition }, { 'aws:a': '1', 'aws:b': '2' })).toBe(true);
  });
});

test.each([
  [{ Condition: { IpAddress: { 'aws:SourceIp': '10.0.0.0/8' } } }, /operator IpAddress/],
  [{ Condition: { StringEquals: { 'aws:a': '$' + '{aws:username}' } } }, /policy variable/],
  [{ Condition: { 'ForAnyValue:StringEqualsIfExists': { 'aws:a': 'a' } } }, /key that is missing/],
  [{ Resource: 'arn:aws:s3*' }, /fewer than six parts/],
  [{ Resource: undefined }, /without Resource/],
])('what it does not decide it says: %j', (statement, message) => {
  expect(() => allows(statement as Partial<Statement>)).toThrow(UndecidedPolicy);
  expect(() => allows(statement as Partial<Statement>)).toThrow(message);
});

test('a pattern made to be slow is not', () => {
  const Action = `${'*a'.repeat(2_000)}b`;
  expect(
    evaluate([{ Statement: allow({ Action }) }], { ...request, action: 'a'.repeat(4_000) }).allowed,
  ).toBe(false);
});
