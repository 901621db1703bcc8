/**
 * Writes NOTICE, with the licence texts of everything that is bundled in the handlers or linked into the extension, and sbom.cdx.json,
 * the same as a CycloneDX bill of materials. Only what is shipped is listed: a package counts if bytes of it are in a bundle.
 *
 * A licence that is not in ALLOWED is an error. test/package.test.ts compares both files; a release writes the bill of materials again,
 * with its own version and that of the Go that built the extension.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { build } from 'esbuild';
import { OPTIONS } from './bundle';
import { findGo, GO_MODULE, goEnvironment } from './go';

const ROOT = path.resolve(__dirname, '..');
/** Licences (SPDX) that allow shipping a part in a package under Apache-2.0, along with its text. */
const ALLOWED = ['Apache-2.0', 'MIT', 'BSD-3-Clause', 'BSD-2-Clause', 'ISC', '0BSD', 'Unlicense'];
/** Packages whose package.json names no licence, and what their licence file says. */
const UNNAMED: Readonly<Record<string, string>> = { ssh2: 'MIT', asn1: 'MIT' };

const GO_LIBRARY = 'Go standard library';

export interface Part {
  readonly name: string;
  readonly version: string;
  readonly licence: string;
  /** The text of its licence and notice files; empty if it ships none. */
  readonly texts: string[];
  readonly purl: string;
}

export interface ThirdParty {
  readonly notice: string;
  readonly sbom: string;
}

const read = (file: string) => readFileSync(file, 'utf8').replaceAll('\r\n', '\n').trim();

function licenceTexts(folder: string): string[] {
  return readdirSync(folder)
    .filter(name => /^(licen[cs]e|copying|notice|copyright)(\.|-|$)/i.test(name))
    .sort()
    .map(name => read(path.join(folder, name)));
}

const MIT = `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the
"Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish,
distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to
the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF
MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY
CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE
SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`;

/** Some packages ship no licence file: they get the text of the licence that they name, MIT's with the author that they name. */
function withText(texts: string[], name: string, licence: string, author?: string): string[] {
  if (texts.length > 0) return texts;
  if (licence === 'Apache-2.0') return [read(path.join(ROOT, 'LICENSE'))];
  if (licence === 'MIT' && author) return [`Copyright (c) ${author}\n\n${MIT}`];
  throw new Error(`${name} ships no licence text: add it to scripts/third-party.ts from its repository`);
}

/** The npm packages that files of a bundle belong to. */
export function packagesOf(inputs: Iterable<string>): Part[] {
  const folders = new Set<string>();
  for (const input of inputs) {
    const [, folder] = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input) ?? [];
    if (folder) folders.add(path.join(ROOT, folder));
  }
  return [...folders].map(folder => {
    const { name, version, license, author } = JSON.parse(read(path.join(folder, 'package.json'))) as {
      name: string;
      version: string;
      license?: string | { type: string };
      author?: string | { name: string };
    };
    const named = typeof license === 'object' ? license.type : license;
    return {
      name,
      version,
      licence: named ?? UNNAMED[name] ?? 'unknown',
      texts: withText(
        licenceTexts(folder),
        name,
        named ?? '',
        typeof author === 'object' ? author.name : author,
      ),
      purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
    };
  });
}

/** The npm packages with bytes in a bundle. */
async function bundledPackages(): Promise<Part[]> {
  const { metafile } = await build({ ...OPTIONS, write: false, metafile: true });
  return packagesOf(
    Object.values(metafile.outputs).flatMap(({ inputs }) =>
      Object.keys(inputs).filter(input => inputs[input].bytesInOutput > 0),
    ),
  );
}

/** Go itself and the modules that are linked into the extension. */
function linkedModules(): Part[] {
  const found = findGo();
  if ('missing' in found) throw new Error(found.missing);
  const go = (...args: string[]) =>
    execFileSync(found.command, args, { cwd: GO_MODULE, encoding: 'utf8', env: goEnvironment() }).trim();
  const modules = go(
    'list',
    '-deps',
    '-f',
    '{{with .Module}}{{if .Version}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}',
    '.',
  )
    .split('\n')
    .filter(Boolean);
  const parts = [...new Set(modules)].map(line => {
    const [name, version, folder] = line.split(' ');
    // A module within a repository has the licence of the repository.
    const texts = [folder, path.dirname(folder)].filter(existsSync).flatMap(licenceTexts);
    return { name, version, licence: 'BSD-3-Clause', texts, purl: `pkg:golang/${name}@${version}` };
  });
  const version = go('env', 'GOVERSION').replace(/^go/, '');
  const standard = {
    name: GO_LIBRARY,
    version,
    licence: 'BSD-3-Clause',
    purl: `pkg:golang/std@${version}`,
  };
  return [{ ...standard, texts: licenceTexts(go('env', 'GOROOT')) }, ...parts];
}

/**
 * The bill of materials without what depends on the machine and the release: the versions of Go and of this
 * package.
 */
export function withoutBuildVersions(sbom: string): string {
  return sbom
    .replaceAll(/(cdk-serverless-blocks@|pkg:golang\/std@)[^"]+/g, '$1*')
    .replaceAll(/("name": "(?:cdk-serverless-blocks|Go standard library)",\s+"version": ")[^"]+/g, '$1*');
}

/** Each text once, with the parts that it is the licence of. */
export function renderTexts(parts: readonly Part[]): string {
  const byText = new Map<string, Part[]>();
  for (const part of parts) {
    const text = part.texts.join('\n\n');
    byText.set(text, [...(byText.get(text) ?? []), part]);
  }
  const sections = [...byText].map(([text, owners]) => {
    const names = owners.map(
      ({ name, version, licence }) => `${name}${name === GO_LIBRARY ? '' : ` ${version}`} (${licence})`,
    );
    return `${'='.repeat(80)}\n${names.join('\n')}\n${'-'.repeat(80)}\n\n${text}\n`;
  });
  return sections.join('\n');
}

export function renderNotice(parts: readonly Part[]): string {
  return `cdk-serverless-blocks
Copyright the cdk-serverless-blocks authors. Apache License 2.0, see LICENSE.

The functions' bundles and the extension in assets/ contain the software below, under these licences.
Written by \`npx projen third-party\`.

${renderTexts(parts)}`;
}

/** CycloneDX 1.6. No serial number and no time, so that the same parts give the same file. */
export function renderSbom(parts: readonly Part[], version: string, name = 'cdk-serverless-blocks'): string {
  const own = `pkg:npm/${name}@${version}`;
  return `${JSON.stringify(
    {
      $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
      bomFormat: 'CycloneDX',
      specVersion: '1.6',
      version: 1,
      metadata: {
        component: {
          type: 'library',
          'bom-ref': own,
          name,
          version,
          licenses: [{ license: { id: 'Apache-2.0' } }],
          purl: own,
        },
      },
      components: parts.map(part => ({
        type: 'library',
        'bom-ref': part.purl,
        name: part.name,
        version: part.version,
        licenses: [{ license: { id: part.licence } }],
        purl: part.purl,
      })),
      dependencies: [
        { ref: own, dependsOn: parts.map(part => part.purl) },
        ...parts.map(({ purl }) => ({ ref: purl })),
      ],
    },
    undefined,
    2,
  )}\n`;
}

/** In the order of their names; an error where a licence is not in ALLOWED. */
export function allowed(parts: readonly Part[]): Part[] {
  const foreign = parts.filter(({ licence }) => !ALLOWED.includes(licence));
  if (foreign.length > 0) {
    throw new Error(
      `${foreign.map(({ name, licence }) => `${name} (${licence})`).join(', ')}: a licence that scripts/third-party.ts does not allow in what is shipped. ` +
        'Take another package, or, if its terms fit Apache-2.0, add it to ALLOWED there.',
    );
  }
  return [...parts].sort((a, b) => (a.purl < b.purl ? -1 : 1));
}

export async function thirdParty(): Promise<ThirdParty> {
  const parts = allowed([...(await bundledPackages()), ...linkedModules()]);
  const { version } = JSON.parse(read(path.join(ROOT, 'package.json'))) as { version: string };
  return { notice: renderNotice(parts), sbom: renderSbom(parts, version) };
}

async function main(): Promise<void> {
  const { notice, sbom } = await thirdParty();
  writeFileSync(path.join(ROOT, 'NOTICE'), notice);
  writeFileSync(path.join(ROOT, 'sbom.cdx.json'), sbom);
  const { components } = JSON.parse(sbom) as { components: unknown[] };
  process.stdout.write(`NOTICE and sbom.cdx.json list the ${components.length} parts that are shipped.\n`);
}

if (require.main === module) {
  main().catch((error: Error) => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  });
}
