import * as zlib from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { ndjson } from './harness';
import { InflateError } from '../../lambda-src/webhook-runner/core/gzip-header';
import { type InflatePoint, Inflater } from '../../lambda-src/webhook-runner/core/inflate';

interface Options {
  readonly chunk?: number;
  readonly point?: InflatePoint;
  readonly onPoint?: (point: InflatePoint) => void;
  readonly spacing?: number;
}

/** As a source does it: pieces that are overwritten once they have been returned. */
function inflate(file: Buffer, { chunk = 65_536, point, onPoint = () => {}, spacing }: Options = {}): Buffer {
  const inflater = new Inflater(point, onPoint, spacing);
  const pieces: Buffer[] = [];
  const take = (piece: Buffer) => {
    expect(piece.length).toBeLessThanOrEqual(65_536 + 32_768 + 258);
    pieces.push(Buffer.from(piece));
    piece.fill(0);
  };
  for (let at = point?.byte ?? 0; at < file.length; at += chunk) {
    for (const piece of inflater.push(file.subarray(at, at + chunk))) take(piece);
  }
  for (const piece of inflater.finish()) take(piece);
  return Buffer.concat(pieces);
}

/** The same numbers each time. */
function numbers(seed: number): (limit: number) => number {
  let state = seed;
  return limit => (state = (state * 48_271) % 2_147_483_647) % limit;
}

function seeded(seed: number, length: number, values = 256): Buffer {
  const next = numbers(seed);
  return Buffer.from(Array.from({ length }, () => next(values)));
}

const RECORDS = Buffer.from(ndjson(2500).replace(/"n(\d+)"/g, (_, n: string) => `"${Number(n) * 7919}"`));
/** Every kind of block: stored, fixed codes, dynamic ones, matches that overlap and reach back 32 KiB. */
const FILES: ReadonlyArray<readonly [string, Buffer, zlib.ZlibOptions]> = [
  ['nothing', Buffer.alloc(0), {}],
  ['a byte', Buffer.from('x'), {}],
  ['records', RECORDS, { level: 6 }],
  ['records, hardly', RECORDS, { level: 1 }],
  ['records, stored', RECORDS, { level: 0 }],
  ['records, fixed codes', RECORDS, { strategy: zlib.constants.Z_FIXED }],
  ['records, no matches', RECORDS, { strategy: zlib.constants.Z_HUFFMAN_ONLY }],
  ['runs', Buffer.alloc(300_000, 'ab'), { level: 9 }],
  ['noise', seeded(7, 100_000), { level: 6 }],
  ['matches far back', Buffer.concat(Array.from({ length: 5 }, () => seeded(3, 32_700))), { level: 9 }],
  ['many small blocks', RECORDS, { level: 9, memLevel: 1 }],
];

describe.each(FILES)('%s', (_name, content, options) => {
  const file = zlib.gzipSync(content, options);

  test('is decoded as zlib does it, in chunks of any size', () => {
    for (const chunk of [65_536, 4099, 17]) expect(inflate(file, { chunk }).equals(content)).toBe(true);
    if (file.length < 2000) expect(inflate(file, { chunk: 1 }).equals(content)).toBe(true);
  });

  test('goes on from each of its points, the checksum of the whole file included', () => {
    const points: InflatePoint[] = [];
    inflate(file, { chunk: 4099, onPoint: point => points.push(point), spacing: 1 });
    for (const point of points.filter((_, i) => i % Math.ceil(points.length / 20) === 0)) {
      expect(inflate(file, { point }).equals(content.subarray(point.offset))).toBe(true);
      expect(() => inflate(file, { point: { ...point, crc: (point.crc ^ 1) >>> 0 } })).toThrow(InflateError);
    }
  });
});

test('there are points at least every few hundred kilobytes, and resuming needs none but the last', () => {
  const content = Buffer.from(ndjson(60_000));
  const points: InflatePoint[] = [];
  const file = zlib.gzipSync(content);
  inflate(file, { onPoint: point => points.push(point), spacing: 100_000 });
  const gaps = points.map((point, i) => point.offset - (points[i - 1]?.offset ?? 0));
  expect(points.length).toBeGreaterThan(2);
  expect(Math.max(...gaps)).toBeLessThan(1_000_000);
  const last = points.at(-1)!;
  expect(last.byte).toBeGreaterThan(file.length / 2);
  expect(inflate(file, { point: last }).equals(content.subarray(last.offset))).toBe(true);
});

describe('members', () => {
  const named = Buffer.concat([
    Buffer.from([0x1f, 0x8b, 8, 0x1f, 0, 0, 0, 0, 0, 3, 3, 0, 1, 2, 3]),
    Buffer.from('name.ndjson\0a comment\0'),
    Buffer.from([0, 0]), // CRC of the header, which nobody looks at
    zlib.gzipSync(RECORDS).subarray(10),
  ]);

  test('follow one another, with names, comments and extra fields, and zeros at the end', () => {
    const file = Buffer.concat([zlib.gzipSync(RECORDS), named, zlib.gzipSync(''), named, Buffer.alloc(1000)]);
    for (const chunk of [65_536, 701]) {
      expect(inflate(file, { chunk }).equals(Buffer.concat([RECORDS, RECORDS, RECORDS]))).toBe(true);
    }
    expect(inflate(named, { chunk: 1 }).equals(RECORDS)).toBe(true);
  });

  test('are each a place to go on from, whose matches do not reach into the one before', () => {
    const file = Buffer.concat(Array.from({ length: 10 }, () => zlib.gzipSync(RECORDS)));
    const points: InflatePoint[] = [];
    inflate(file, { onPoint: point => points.push(point), spacing: 100_000 });
    for (const point of points) {
      expect(inflate(file, { point }).length).toBe(10 * RECORDS.length - point.offset);
    }
    // Whose first block refers to what is not there.
    const far = zlib.deflateRawSync('abcabcabcabc', { dictionary: Buffer.from('abcabcabcabc') });
    const bad = Buffer.concat([zlib.gzipSync(RECORDS), zlib.gzipSync('').subarray(0, 10), far]);
    expect(() => inflate(bad)).toThrow(/too far back/);
  });

  test.each([
    ['letters', Buffer.from('and so on')],
    ['another member that is damaged', Buffer.from([0x1f, 0x8c, 8, 0, 0, 0, 0, 0, 0, 3])],
    ['half a magic number', Buffer.from([0x1f])],
  ])('followed by %s are not a whole file', (_what, garbage) => {
    expect(() => inflate(Buffer.concat([zlib.gzipSync(RECORDS), garbage]))).toThrow(InflateError);
  });
});

test('a file that is cut off anywhere is not a whole file', () => {
  const content = Buffer.from(ndjson(20));
  for (const options of [{}, { level: 0 }, { strategy: zlib.constants.Z_FIXED }]) {
    const file = zlib.gzipSync(content, options);
    for (let end = 0; end < file.length; end += 1) {
      expect(() => inflate(file.subarray(0, end)), `${end} of ${file.length}`).toThrow(InflateError);
    }
  }
});

test('what zlib takes is decoded alike, and what it refuses is refused: 1,200 damaged files', () => {
  const files = [
    zlib.gzipSync(ndjson(30)),
    zlib.gzipSync(ndjson(30), { strategy: zlib.constants.Z_FIXED }),
    zlib.gzipSync(seeded(5, 300), { level: 0 }),
  ];
  const outcome = (decode: () => Buffer) => {
    try {
      return decode().toString('latin1');
    } catch (error) {
      if (!(error instanceof InflateError) && !('errno' in (error as object))) throw error;
      return 'refused';
    }
  };
  const next = numbers(11);
  for (let i = 0; i < 1200; i += 1) {
    const damaged = Buffer.from(files[next(files.length)]);
    for (let flips = 1 + next(4); flips > 0; flips -= 1) {
      // Behind the header, whose flags and fields zlib looks at less closely.
      damaged[10 + next(damaged.length - 10)] ^= 1 << next(8);
    }
    expect(outcome(() => inflate(damaged))).toBe(outcome(() => zlib.gunzipSync(damaged)));
  }
});

test('content of any kind goes through, at any level', () => {
  const next = numbers(12);
  for (let i = 0; i < 200; i += 1) {
    const content = seeded(i + 1, next(3000), 1 + next(256));
    const file = zlib.gzipSync(content, { level: next(10), memLevel: 1 + next(9) });
    expect(inflate(file, { chunk: 1 + next(3000) }).equals(content)).toBe(true);
  }
});

test('noise is not a gzip file', () => {
  for (let i = 0; i < 300; i += 1) {
    const noise = Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]), seeded(i + 1, 500)]);
    expect(() => inflate(noise)).toThrow(InflateError);
  }
});
