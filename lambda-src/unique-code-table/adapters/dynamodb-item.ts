import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import type { StoredCode } from '../core/store';

export type Item = Record<string, AttributeValue>;

/** A code's item under the table's own names, as the document client would read it. */
export function storedCode(item: Item): StoredCode {
  return Object.fromEntries(
    Object.entries(item).map(([name, value]) => [name, plain(value)]),
  ) as unknown as StoredCode;
}

function plain(value: AttributeValue): unknown {
  if (value.N !== undefined) return Number(value.N);
  if (value.SS) return new Set(value.SS);
  if (value.L) return value.L.map(plain);
  if (value.M) return Object.fromEntries(Object.entries(value.M).map(([name, each]) => [name, plain(each)]));
  return value.S ?? value.BOOL;
}

/** An item of texts, without those that are not there. */
export function compact(texts: Record<string, string | undefined>, more: Item = {}): Item {
  const present = Object.entries(texts).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return { ...Object.fromEntries(present.map(([name, S]) => [name, { S }])), ...more };
}

/** An item of numbers, without those that are not there. */
export function numbers(values: Record<string, number | undefined>): Item {
  const present = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(present.map(([name, value]) => [name, { N: String(value) }]));
}
