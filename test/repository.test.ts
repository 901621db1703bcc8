import { existsSync, readdirSync, readFileSync } from 'node:fs';
import * as path from 'node:path';
import { expect, test } from 'vitest';

/** What helps people work here names files and versions that nothing else would notice missing. */
const ROOT = path.resolve(__dirname, '..');
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');
const json = (file: string) => JSON.parse(read(file).replace(/^\/\/.*$/m, '')) as Record<string, never>; // projen's mark

test('every decision is in the index, under its title', () => {
  const index = read('docs/adr/README.md');
  for (const file of readdirSync(path.join(ROOT, 'docs/adr')).filter(name => name !== 'README.md')) {
    const [, number, title] = /^# (\d+)\. (.+)$/m.exec(read(`docs/adr/${file}`))!;
    expect(Number(number), file).toBe(Number(file.slice(0, 4)));
    expect(index).toContain(`| [${number}](${file}) | ${title} |`);
  }
});

test('the debug configurations start what is there, after tasks that are there', () => {
  const { configurations } = json('.vscode/launch.json') as unknown as {
    configurations: { request: string; program: string; args?: string[]; preLaunchTask?: string }[];
  };
  const { tasks } = json('.vscode/tasks.json') as unknown as { tasks: { label: string }[] };
  for (const { request, program, args = [], preLaunchTask } of configurations) {
    if (request === 'launch') {
      expect(existsSync(program.replace('${workspaceFolder}', ROOT)), program).toBe(true);
    }
    for (const file of args.filter(arg => arg.endsWith('.json'))) {
      expect(existsSync(path.join(ROOT, file)), file).toBe(true);
    }
    if (preLaunchTask) expect(tasks.map(({ label }) => label)).toContain(preLaunchTask);
  }
});

test('the dev container has the Node.js of the workflows, and the editor the extensions of the container', () => {
  const { image, customizations } = json('.devcontainer.json') as unknown as {
    image: string;
    customizations: { vscode: { extensions: string[] } };
  };
  const [, version] = /node-version: "(\d+)"/.exec(read('.github/workflows/build.yml'))!;
  expect(image).toMatch(new RegExp(`^mcr\\.microsoft\\.com/devcontainers/typescript-node:${version}-`));
  const { recommendations } = json('.vscode/extensions.json') as unknown as { recommendations: string[] };
  expect(recommendations).toEqual(customizations.vscode.extensions);
});

test('the build checks commits over the whole history', () =>
  expect(read('.github/workflows/build.yml')).toMatch(
    /Checkout[\s\S]*?fetch-depth: 0[\s\S]*?- name: Setup Go/,
  ));
