import { App, type Duration, Stack } from 'aws-cdk-lib';
import { describe, expect, test } from 'vitest';
import {
  BirthdayApi,
  CodeFormat,
  GitPushPipeline,
  RecordMapping,
  TableBilling,
  UniqueCodeTable,
  WebhookDestination,
} from '../../src';

const wrong = <T>(value: unknown) => value as T;
const stack = () => new Stack(new App(), 'Test');

describe("a mistake in a block's props is one kind of error, wherever it is made", () => {
  test.each<[string, () => unknown, RegExp]>([
    [
      'a constructor',
      () => new BirthdayApi(stack(), 'Block', { memorySize: 1 }),
      /`memorySize`.*got 1 \(at Test\/Block\)/,
    ],
    [
      'a static of a table',
      () =>
        TableBilling.provisioned({
          minReadCapacity: 0,
          minWriteCapacity: 1,
          maxReadCapacity: 1,
          maxWriteCapacity: 1,
        }),
      /`minReadCapacity`/,
    ],
    [
      'a static of a destination',
      () => WebhookDestination.http({ url: 'ftp://a.example.com' }),
      /`url` must be an https URL/,
    ],
    ['a static of a mapping', () => RecordMapping.module('missing.js'), /missing\.js/],
    ['a static of a format', () => CodeFormat.of({ length: 0 }), /`length` must be an integer from 1 to/],
  ])('%s', (_, make, message) => {
    expect(make).toThrow(message);
    expect(make).toThrow(expect.objectContaining({ name: 'InvalidPropError' }));
  });
});

describe('a wrong type, which JavaScript lets through, is reported as such', () => {
  test.each<[string, () => unknown, RegExp]>([
    [
      'a text for a number',
      () => new BirthdayApi(stack(), 'Block', { memorySize: wrong('512') }),
      /`memorySize` must be a number, got "512" \(at Test\/Block\)/,
    ],
    [
      'an object for a number',
      () => new BirthdayApi(stack(), 'Block', { memorySize: wrong({}) }),
      /got an object \(Object\)/,
    ],
    ['null for a number', () => new BirthdayApi(stack(), 'Block', { memorySize: wrong(null) }), /got null/],
    [
      'a number for a duration',
      () => new UniqueCodeTable(stack(), 'Block', { timeout: wrong<Duration>(30) }),
      /`timeout` must be a Duration such as Duration\.seconds\(30\), got 30 \(at Test\/Block\)/,
    ],
    [
      'a text for a duration',
      () => new GitPushPipeline(stack(), 'Block', { repositories: [], timeout: wrong<Duration>('30s') }),
      /`timeout` must be a Duration.*got "30s"/,
    ],
  ])('%s', (_, make, message) => expect(make).toThrow(message));
});
