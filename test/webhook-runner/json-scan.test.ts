import { describe, expect, test } from 'vitest';
import { isExact, JsonScanner, SPAN } from '../../lambda-src/webhook-runner/core/json-scan';

const scanner = new JsonScanner();

function scan(text: string, wantSpans = true): boolean {
  const bytes = Buffer.from(`x${text}\n`);
  return scanner.scan(bytes, 1, bytes.length - 1, wantSpans, true);
}

function isObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

/** Numbers that are the same in every run. */
function random(seed: number): (limit: number) => number {
  let state = seed;
  return limit => {
    state = (state * 48_271) % 2_147_483_647;
    return state % limit;
  };
}

describe('one JSON object', () => {
  test.each([
    '{}',
    ' { } ',
    '\t{"a":1}\r',
    '{"a":[],"b":{},"c":[{}],"d":[[1,2],{"e":null}]}',
    '{"a":"\\u00e9\\"\\\\\\/\\b\\f\\n\\r\\t","\\u0061":true,"":false}',
    '{"n":[0,-0,1.5,1e5,-1.25E-7,1E+2,12345678901234567890]}',
    '{"__proto__":1,"é€😀":"é€😀"}',
  ])('%s', text => {
    expect(scan(text)).toBe(true);
    expect(isObject(text)).toBe(true);
  });

  test.each([
    '',
    ' ',
    '[]',
    '[1]',
    '"a"',
    '1',
    'null',
    'true',
    '{',
    '}',
    '{}}',
    '{}{}',
    '{} {}',
    '{},{}',
    '{"a"}',
    '{"a":}',
    '{"a":1,}',
    '{,"a":1}',
    '{"a":1 "b":2}',
    "{'a':1}",
    '{a:1}',
    '{"a":01}',
    '{"a":1.}',
    '{"a":.5}',
    '{"a":+1}',
    '{"a":1e}',
    '{"a":-}',
    '{"a":NaN}',
    '{"a":Infinity}',
    '{"a":tru}',
    '{"a":truex}',
    '{"a":nul',
    '{"a":"\\x"}',
    '{"a":"\\u12g4"}',
    '{"a":"\\u12',
    '{"a":"',
    '{"a":"b\tc"}',
    '{"a":"b\u0000"}',
    '{"a":[1,]}',
    '{"a":[1}',
    '{"a":{]}',
    '{"a":[1 2]}',
    'id,name',
    '<html>',
    '{"a":1}],"webhook_id":"other","records":[{"b":2}',
  ])('is not: %s', text => {
    expect(scan(text)).toBe(false);
    expect(isObject(text)).toBe(false);
  });

  test('may be nested 1,024 deep and no deeper', () => {
    expect(scan(`{"a":${'['.repeat(1023)}${']'.repeat(1023)}}`)).toBe(true);
    expect(scan(`{"a":${'['.repeat(1024)}${']'.repeat(1024)}}`)).toBe(false);
  });

  test('is what JSON.parse takes for one, over 50,000 texts with changed bytes', () => {
    const next = random(7);
    const seeds = [
      '{"a":1,"b":[true,false,null],"c":{"d":"e\\n"}}',
      '{"id":-12.5e+3,"s":"\\u00e9\\\\","x":[[],{}]}',
      ' {"k" : [ 1 , 2 ] , "l" : { } } ',
    ];
    const alphabet = '{}[]",:\\ntf0123456789.eE+-u /abx \t';
    let objects = 0;
    for (let i = 0; i < 50_000; i += 1) {
      const chars = [...seeds[i % seeds.length]];
      for (let changes = 1 + next(3); changes > 0; changes -= 1) {
        const at = next(chars.length);
        const char = alphabet[next(alphabet.length)];
        const kind = next(3);
        chars.splice(at, kind === 1 ? 0 : 1, ...(kind === 2 ? [] : [char]));
      }
      const text = chars.join('');
      const expected = isObject(text);
      expect([text, scan(text, i % 2 === 0)]).toEqual([text, expected]);
      objects += expected ? 1 : 0;
    }
    expect(objects).toBeGreaterThan(2_000);
  });
});

test('knows where the top-level members are', () => {
  const text = ' {"a" : 1 ,"b":[1,{"c":2}],"\\u0063":"x" , "d":{"e":{}} } ';
  const bytes = Buffer.from(`${text}\n`);
  expect(scanner.scan(bytes, 0, bytes.length - 1, true)).toBe(true);
  const members = Array.from({ length: scanner.members }, (_, i) => {
    const at = (part: number) => scanner.spans[i * SPAN.size + part];
    return [
      bytes.toString('utf8', at(SPAN.keyFrom), at(SPAN.keyTo)),
      bytes.toString('utf8', at(SPAN.valueFrom), at(SPAN.valueTo)),
    ];
  });
  expect(members).toEqual([
    ['a', '1'],
    ['b', '[1,{"c":2}]'],
    ['\\u0063', '"x"'],
    ['d', '{"e":{}}'],
  ]);
  expect(scanner.escapedKeys).toBe(true);
});

test('has room for any number of members', () => {
  const text = `{${Array.from({ length: 1000 }, (_, i) => `"k${i}":${i}`).join(',')}}`;
  expect(scan(text)).toBe(true);
  expect(scanner.members).toBe(1000);
});

describe('a number that a double', () => {
  test.each([
    '0',
    '1',
    '-1',
    '1.0',
    '1.50',
    '0.1',
    '0.30000000000000004',
    '1e22',
    '1E5',
    '100e-2',
    '9007199254740992',
    '0e5',
  ])('holds: %s', token => {
    expect(isExact(token)).toBe(true);
    expect([scan(`{"a":${token}}`), scanner.inexact]).toEqual([true, false]);
  });
  test.each([
    '12345678901234567890',
    '9007199254740993',
    '1.797e309',
    '1e400',
    '-0',
    '-0.0',
    '-0e1',
    '0.1000000000000000055511',
    '1e-400',
  ])('does not hold: %s', token => {
    expect(isExact(token)).toBe(false);
    expect([scan(`{"a":[{"b":${token}}]}`), scanner.inexact]).toEqual([true, true]);
  });
});
