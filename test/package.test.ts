import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { describe, expect, test } from 'vitest';
import { LAYER_ZIPS } from '../scripts/build-extension';
import { BUNDLES, LAZY_FILES } from '../scripts/bundle';
import { thirdParty, withoutBuildVersions } from '../scripts/third-party';

const ROOT = path.resolve(__dirname, '..');

test('the package holds the constructs, the bundles and the reference, and nothing that is only for development', () => {
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
    [
      ...BUNDLES.map(name => `assets/${name}/index.js`),
      ...Object.keys(LAZY_FILES).map(name => `assets/${name}`),
      ...LAYER_ZIPS.map(name => `assets/${name}`),
    ].sort(),
  );
  const blocks = names.flatMap(name => /^src\/([^/]+)\/README\.md$/.exec(name)?.[1] ?? []);
  expect(blocks).toEqual(
    readdirSync(path.join(ROOT, 'src')).filter(name => existsSync(path.join(ROOT, 'src', name, 'README.md'))),
  );
  for (const name of names.filter(file => /^(src|examples|docs)\//.test(file))) {
    expect(name).toMatch(/README\.md$|\/events\/[\w-]+\.json$|\/map\.(d\.ts|js)$|^docs\/runbook\.md$/);
  }
  expect(names).toContain('examples/webhook-runner/map.d.ts');
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
    'bin',
    'docs',
    'examples',
    'lib',
    'package.json',
    'sbom.cdx.json',
    'src',
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

test('every type, public member and parameter says what it is, and every construct has an example', () => {
  interface Documented {
    readonly fqn?: string;
    readonly name: string;
    readonly protected?: boolean;
    readonly docs?: { readonly summary?: string; readonly example?: string };
    readonly parameters?: Documented[];
  }
  const { types } = JSON.parse(readFileSync(path.join(ROOT, '.jsii'), 'utf8')) as {
    types: Record<
      string,
      Documented & { initializer?: Documented } & Partial<
          Record<'methods' | 'properties' | 'members', Documented[]>
        >
    >;
  };
  const missing: string[] = [];
  for (const type of Object.values(types)) {
    if (!type.docs?.summary) missing.push(type.fqn!);
    const members = [...(type.methods ?? []), ...(type.properties ?? []), ...(type.members ?? [])].filter(
      member => !member.protected,
    );
    for (const member of members.filter(({ docs }) => !docs?.summary)) {
      missing.push(`${type.fqn}.${member.name}`);
    }
    for (const { name = 'new', parameters = [] } of [
      ...members,
      ...(type.initializer ? [type.initializer] : []),
    ]) {
      const silent = parameters.filter(({ docs }) => !docs?.summary);
      missing.push(...silent.map(parameter => `${type.fqn}.${name}: @param ${parameter.name}`));
    }
  }
  expect(missing).toEqual([]);
  const constructs = readdirSync(path.join(ROOT, 'src'))
    .filter(name => existsSync(path.join(ROOT, 'src', name, 'contract.ts')))
    .map(name => name.replace(/(?:^|-)(.)/g, (_, letter: string) => letter.toUpperCase()));
  for (const name of constructs) {
    expect(types[`cdk-serverless-blocks.${name}`].docs?.example, name).toContain(`new ${name}(`);
  }
});

describe('links work where there is no repository: on npm, PyPI and Construct Hub', () => {
  const own =
    /^https:\/\/(?:github\.com\/cdk-serverless-blocks\/cdk-serverless-blocks\/(?:blob|tree)|raw\.githubusercontent\.com\/cdk-serverless-blocks\/cdk-serverless-blocks)\/main\/([^#]*)(?:#(.*))?$/;
  const pages = [
    'README.md',
    'packages/local/README.md',
    ...readdirSync(path.join(ROOT, 'src'))
      .map(name => `src/${name}/README.md`)
      .filter(page => existsSync(path.join(ROOT, page))),
  ];
  /** As GitHub makes them of headings. */
  const anchorsOf = (text: string) =>
    [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replace(/ /g, '-'),
    );

  test.each(pages)('%s', page => {
    const text = readFileSync(path.join(ROOT, page), 'utf8').replace(/^```[^]*?^```/gm, '');
    const links = [...text.matchAll(/\]\(([^)]+)\)|(?:src|srcset)="([^"]+)"/g)].map(
      ([, link, image]) => link ?? image,
    );
    for (const link of links) {
      expect(link).toMatch(/^(https:\/\/|#)/);
      if (link.startsWith('#')) expect(anchorsOf(text), link).toContain(link.slice(1));
      const [, file, anchor] = own.exec(link) ?? [];
      if (file === undefined) continue;
      expect(existsSync(path.join(ROOT, file)), link).toBe(true);
      if (anchor !== undefined) {
        expect(anchorsOf(readFileSync(path.join(ROOT, file), 'utf8')), link).toContain(anchor);
      }
    }
  });
});

test('nothing that is installed here, to run or to develop, is under a copyleft licence alone', () => {
  const { packages } = JSON.parse(readFileSync(path.join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { license?: string }>;
  };
  const copyleft = Object.entries(packages).filter(
    ([, { license = '' }]) => /GPL|SSPL|BUSL/.test(license) && !/\bMIT OR\b/.test(license),
  );
  expect(copyleft).toEqual([]);
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
    // The tsconfig that the other tests name is not there.
    const env = { ...process.env, TSX_TSCONFIG_PATH: undefined };
    execFileSync(process.execPath, ['--import', 'tsx', 'scripts/bundle.ts'], { cwd: folder, env });
    for (const bundle of [
      ...BUNDLES.map(name => `assets/${name}/index.js`),
      ...Object.keys(LAZY_FILES).map(name => `assets/${name}`),
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
