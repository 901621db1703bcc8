import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { readZip } from 'cdk-localhost/zip';
import { describe, expect, test } from 'vitest';
import { compile, LAYER_ZIPS } from '../../scripts/build-extension';
import { findGo, GO_TOOLCHAIN, GO_VERSION } from '../../scripts/go';
import { writeZip } from '../../scripts/zip';
import { ENV, EXTENSION, LAYER_ZIP, MODE, TAG } from '../../src/crash-reporter-layer/contract';

const ROOT = path.resolve(__dirname, '..', '..');
const read = (zip: string) => readFileSync(path.join(ROOT, 'assets', zip));

/** Of https://refspecs.linuxfoundation.org/elf/gabi4+/contents.html, for 64 bits. */
const PT_INTERP = 3;
const MACHINES: Record<string, number> = { x86_64: 62, arm64: 183 };

function programHeaders(elf: Buffer): number[] {
  const [start, size, count] = [Number(elf.readBigUInt64LE(32)), elf.readUInt16LE(54), elf.readUInt16LE(56)];
  return Array.from({ length: count }, (_, index) => elf.readUInt32LE(start + index * size));
}

test('the construct, the build and Lambda agree on the layers', () => {
  expect(LAYER_ZIPS).toEqual(Object.values(LAYER_ZIP));
});

describe.each(Object.keys(MACHINES))('the layer for %s', architecture => {
  const entries = readZip(read(`crash-reporter-layer/${architecture}.zip`));

  test('holds exactly one file, executable: Lambda would execute any other in that folder too', () => {
    expect(entries.map(({ name, mode }) => [name, mode.toString(8)])).toEqual([[EXTENSION, '755']]);
  });

  test('is a static program for that machine: no libc, no loader', () => {
    const [{ data }] = entries;
    expect(data.toString('latin1', 0, 4)).toBe('\x7fELF');
    expect(data.readUInt16LE(18)).toBe(MACHINES[architecture]);
    expect(programHeaders(data)).not.toContain(PT_INTERP);
    expect(data.includes('libssl')).toBe(false);
  });

  test('is small: 6 MB unpacked, 2.8 MB packed', () => {
    expect(entries[0].data.length).toBeLessThan(6_000_000);
    expect(read(`crash-reporter-layer/${architecture}.zip`).length).toBeLessThan(2_800_000);
  });

  test('names no path of the machine that built it', () => {
    expect(entries[0].data.includes(ROOT)).toBe(false);
  });

  test('packed again is the same, byte for byte', () => {
    expect(writeZip(entries).equals(read(`crash-reporter-layer/${architecture}.zip`))).toBe(true);
  });
});

test("without Go the extension's tests stop with one line that names the version", () => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', 'tsx', 'scripts/test-extension.ts'],
    {
      cwd: ROOT,
      env: { ...process.env, PATH: '/nonexistent', GO_BIN_FOLDER: '/nonexistent' },
      encoding: 'utf8',
    },
  );
  expect([status, stdout, stderr.split('\n').filter(line => line.includes('Go '))]).toEqual([
    1,
    '',
    [
      `Go ${GO_VERSION} or later is needed for the extension of CrashReporterLayer, and there is no \`go\` on the PATH and no pip to get one: https://go.dev/dl/`,
    ],
  ]);
});

test("the same bytes come out of any machine's settings for Go, by the toolchain that go.mod names", async () => {
  const go = findGo();
  if ('missing' in go) throw new Error(go.missing);
  const folder = mkdtempSync(path.join(tmpdir(), 'crash-reporter-build-'));
  const settings = {
    GOAMD64: 'v3',
    GOFLAGS: '-gcflags=-l',
    GOEXPERIMENT: 'nogreenteagc',
    GOTOOLCHAIN: 'local',
    CGO_ENABLED: '1',
  };
  const before = { ...process.env };
  try {
    Object.assign(process.env, settings);
    await compile(go.command, 'amd64', path.join(folder, 'binary'));
    const [{ data }] = readZip(read('crash-reporter-layer/x86_64.zip'));
    const again = readFileSync(path.join(folder, 'binary'));
    expect(again.equals(data)).toBe(true);
    expect(data.includes(GO_TOOLCHAIN)).toBe(true);
  } finally {
    for (const name of Object.keys(settings)) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
    rmSync(folder, { recursive: true, force: true });
  }
});

test('the extension reads every variable and every mode that the construct sets', () => {
  const config = readFileSync(
    path.join(ROOT, 'lambda-src', 'crash-reporter-layer', 'internal', 'config', 'config.go'),
    'utf8',
  );
  for (const name of Object.values(ENV)) expect(config).toContain(`"${name}"`);
  for (const mode of Object.values(MODE)) expect(config).toContain(`"${mode}"`);
  expect(config).toContain(`maxTags = ${TAG.maxCount}`);
  expect(config).toContain(`len(key) > ${TAG.maxNameLength}`);
});

describe('a zip', () => {
  const entry = { name: 'a/b', mode: 0o644, data: Buffer.from('content'.repeat(100)) };

  test('reads as it was written', () =>
    expect(readZip(writeZip([entry, { ...entry, name: 'c', mode: 0o755 }]))).toEqual([
      entry,
      { ...entry, name: 'c', mode: 0o755 },
    ]));

  test.each(['../etc/passwd', '/etc/passwd', 'a/../../b', 'a\\b'])('with the name %s is refused', name => {
    expect(() => readZip(writeZip([{ ...entry, name }]))).toThrow(/leads out of it/);
  });

  test('that is damaged is refused', () => {
    const zip = writeZip([entry]);
    zip.writeUInt32LE(1, zip.indexOf('PK\x01\x02') + 16);
    expect(() => readZip(zip)).toThrow(/checksum/);
    expect(() => readZip(Buffer.from('nothing'))).toThrow('not a zip archive');
  });
});
