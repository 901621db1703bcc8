import * as childProcess from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listZip, unzip } from './harness';
import { noise } from './sample-repository';
import { temporaryDirectory } from '../../demo/hosts/git/git-server';
import { DEFAULT_LIMITS, DiskBudget } from '../../lambda-src/git-push-pipeline/git/limits';
import { ZipWriter } from '../../lambda-src/git-push-pipeline/git/zip-writer';

const NEVER = new AbortController().signal;

describe('the zip writer', () => {
  let directory: string;
  let count = 0;
  beforeAll(() => {
    directory = temporaryDirectory();
  });
  afterAll(() => fs.rmSync(directory, { recursive: true, force: true }));

  const write = async (
    fill: (zip: ZipWriter) => void | Promise<void>,
    time = 1_700_000_000,
    start?: number,
  ): Promise<string> => {
    const file = path.join(directory, `${count++}.zip`);
    const fd = fs.openSync(file, 'w');
    try {
      const zip = new ZipWriter(fd, {
        time,
        limits: DEFAULT_LIMITS,
        disk: new DiskBudget(DEFAULT_LIMITS),
        start,
      });
      await fill(zip);
      zip.finish('comment');
    } finally {
      fs.closeSync(fd);
    }
    return file;
  };
  const once = (data: Buffer) =>
    async function* () {
      for (let at = 0; at < data.length; at += 100_000) yield data.subarray(at, at + 100_000);
    };

  it('stores what deflating would not make smaller, and deflates the rest', async () => {
    const file = await write(zip => {
      zip.add(Buffer.from('noise'), 0o100644, noise(5000));
      zip.add(Buffer.from('text'), 0o100644, Buffer.alloc(5000, 'text '));
      zip.add(Buffer.from('empty'), 0o100644, Buffer.alloc(0));
    });
    const list = childProcess.execFileSync('unzip', ['-v', file], { encoding: 'utf8' });
    expect(list).toMatch(/5000 +Stored.*noise/);
    expect(list).toMatch(/5000 +Defl:N.*text/);
    expect(list).toMatch(/0 +Stored.*empty/);
  });

  it('writes the same entry whether it is streamed or held, but for how it was deflated', async () => {
    for (const data of [noise(700_000), Buffer.alloc(700_000, 'a line of text\n')]) {
      const held = await write(zip => zip.add(Buffer.from('f'), 0o100755, data));
      const streamed = await write(zip =>
        zip.addStream(Buffer.from('f'), 0o100755, data.length, once(data), NEVER),
      );
      expect(listZip(streamed)).toEqual(listZip(held));
      // The stored ones are equal altogether: nothing of the try to deflate is left over.
      if (data[0] !== 'a'.charCodeAt(0)) {
        expect(fs.readFileSync(streamed).equals(fs.readFileSync(held))).toBe(true);
      }
    }
  });

  it('goes on after a streamed entry where that ended', async () => {
    const file = await write(async zip => {
      zip.add(Buffer.from('a'), 0o100644, Buffer.from('before'));
      await zip.addStream(Buffer.from('b'), 0o100644, 300_000, once(noise(300_000)), NEVER);
      zip.add(Buffer.from('c'), 0o100644, Buffer.from('after'));
    });
    expect(listZip(file).entries.map(({ name }) => name)).toEqual(['a', 'b', 'c']);
  });

  it('is the same, and unpacks to the same times, in every time zone', async () => {
    const script = path.join(__dirname, 'write-zip.ts');
    const run = (zone: string): Buffer => {
      const file = path.join(directory, `zone-${count++}.zip`);
      childProcess.execFileSync(process.execPath, ['--import', 'tsx', script, file], {
        env: { PATH: process.env.PATH, TZ: zone },
        stdio: 'pipe',
      });
      const into = `${file}.d`;
      unzip(file, into, { TZ: zone });
      expect(fs.statSync(path.join(into, 'dir/file')).mtimeMs).toBe(1_709_235_124_000);
      return fs.readFileSync(file);
    };
    const utc = run('UTC');
    for (const zone of ['Asia/Tokyo', 'America/St_Johns']) expect(run(zone).equals(utc)).toBe(true);
  });

  it.each([
    [0, [1980, 1, 1, 0, 0, 0]],
    [-1, [1980, 1, 1, 0, 0, 0]],
    [2 ** 31, [2038, 1, 19, 3, 14, 8]],
    [2 ** 40, [2107, 12, 31, 23, 59, 58]],
    [1_709_235_125, [2024, 2, 29, 19, 32, 4]],
  ])('says the time %i as far as a zip can', async (time, expected) => {
    const file = await write(zip => zip.add(Buffer.from('f'), 0o100644, Buffer.from('x')), time);
    expect(listZip(file).times).toEqual([expected]);
  });

  it('marks names as UTF-8 only where they are', async () => {
    const names = [Buffer.from('ascii'), Buffer.from('日本'), Buffer.from([0x63, 0xe9])];
    const bytes = fs.readFileSync(
      await write(zip => names.forEach(name => zip.add(name, 0o100644, Buffer.from('x')))),
    );
    const flags = [];
    for (
      let at = bytes.indexOf('PK\x01\x02', 0, 'latin1');
      at >= 0;
      at = bytes.indexOf('PK\x01\x02', at + 4, 'latin1')
    ) {
      flags.push(bytes.readUInt16LE(at + 8));
    }
    expect(flags).toEqual([0, 0x800, 0]);
  });

  it('uses Zip64 for more than 65,535 entries', async () => {
    const file = await write(zip => {
      for (let i = 0; i < 65_536; i++) zip.add(Buffer.from(`f${i}`), 0o100644, Buffer.alloc(0));
    });
    const python = 'import sys, zipfile; print(len(zipfile.ZipFile(sys.argv[1]).infolist()))';
    expect(childProcess.execFileSync('python3', ['-c', python, file], { encoding: 'utf8' })).toBe('65536\n');
    expect(childProcess.execFileSync('unzip', ['-Z', '-h', file], { encoding: 'utf8' })).toContain(
      'number of entries: 65536',
    );
  });

  it('uses Zip64 for entries that begin beyond 4 GiB', async () => {
    // The file begins with a hole, which takes no space and which zip readers skip.
    const file = await write(
      zip => {
        zip.add(Buffer.from('a'), 0o100755, Buffer.from('first'));
        zip.add(Buffer.from('b'), 0o100644, Buffer.alloc(9000, 'second'));
      },
      1_700_000_000,
      5 * 1024 ** 3,
    );
    expect(listZip(file).entries).toMatchObject([
      { name: 'a', mode: '100755' },
      { name: 'b', mode: '100644' },
    ]);
  });
});
