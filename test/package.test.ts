import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { expect, test } from 'vitest';
import { LAYER_ZIPS } from '../scripts/build-extension';
import { BUNDLES } from '../scripts/bundle';
import { thirdParty, withoutBuildVersions } from '../scripts/third-party';

const ROOT = path.resolve(__dirname, '..');

test('the package holds the constructs, the bundles and the reference, and nothing of the workshop', () => {
  const [{ files }] = JSON.parse(
    execFileSync('npm', ['pack', '--dry-run', '--json'], {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }),
  ) as { files: { path: string }[] }[];
  const names = files.map(file => file.path);
  expect(names).toEqual(
    expect.arrayContaining([
      '.jsii',
      'API.md',
      'LICENSE',
      'NOTICE',
      'README.md',
      'lib/index.js',
      'sbom.cdx.json',
      'lib/index.d.ts',
      'package.json',
    ]),
  );
  const assets = names.filter(name => name.startsWith('assets/'));
  expect(assets.sort()).toEqual(
    [...BUNDLES.map(name => `assets/${name}/index.js`), ...LAYER_ZIPS.map(name => `assets/${name}`)].sort(),
  );
  const places = new Set(names.map(name => name.split('/')[0]));
  expect([...places].sort()).toEqual([
    '.jsii',
    'API.md',
    'CHANGELOG.md',
    'LICENSE',
    'NOTICE',
    'README.md',
    'SECURITY.md',
    'assets',
    'lib',
    'package.json',
    'sbom.cdx.json',
  ]);
});

test('NOTICE and the bill of materials list what is shipped, each with a licence that allows it', async () => {
  const { notice, sbom } = await thirdParty();
  const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');
  const how = 'run `npx projen third-party` and look at what changed';
  expect(read('NOTICE'), how).toBe(notice);
  expect(withoutBuildVersions(read('sbom.cdx.json')), how).toBe(withoutBuildVersions(sbom));
  const { components } = JSON.parse(sbom) as { components: { name: string; version: string }[] };
  for (const { name } of components) expect(notice).toContain(`\n${name}`);
  expect(components.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['Go standard library', 'golang.org/x/crypto/x509roots/fallback', 'ssh2']),
  );
});

test('the package installs nothing but itself', () => {
  const { dependencies, bundledDependencies } = JSON.parse(
    readFileSync(path.join(ROOT, 'package.json'), 'utf8'),
  ) as Record<string, unknown>;
  expect([dependencies, bundledDependencies]).toEqual([undefined, undefined]);
});

test('built in another folder, every bundle and every layer is the same byte for byte', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'serverless-blocks-elsewhere-'));
  try {
    for (const name of ['lambda-src', 'src', 'scripts']) {
      cpSync(path.join(ROOT, name), path.join(folder, name), { recursive: true });
    }
    symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
    execFileSync(process.execPath, ['--import', 'tsx', 'scripts/bundle.ts'], { cwd: folder });
    for (const bundle of [
      ...BUNDLES.map(name => `assets/${name}/index.js`),
      ...LAYER_ZIPS.map(name => `assets/${name}`),
    ]) {
      expect(
        readFileSync(path.join(folder, bundle)).equals(readFileSync(path.join(ROOT, bundle))),
        bundle,
      ).toBe(true);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test.each(BUNDLES)(
  'the bundle %s never imports dynamically: that lists the exports of http, which loads all of undici, 20 ms of a cold start',
  name => {
    expect(readFileSync(path.join(ROOT, 'assets', name, 'index.js'), 'utf8')).not.toMatch(/\bimport\(/);
  },
);
