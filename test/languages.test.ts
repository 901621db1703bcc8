/** A program can walk through the page of the first hour; `npx projen test:languages` does it. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { describe, expect, test } from 'vitest';
import { scriptOf, stepsOf } from '../scripts/first-hour';

const page = readFileSync(path.resolve(__dirname, '../docs/languages.md'), 'utf8');

test.each(['TypeScript', 'Python', 'Java', 'Go', 'C#'])(
  '%s begins in an empty folder, writes the stack and ends with a synth',
  heading => {
    const steps = stepsOf(page, heading);
    const [first] = steps;
    expect('commands' in first && first.commands).toMatch(
      /^mkdir greetings && cd greetings\nnpx aws-cdk@2 init app /,
    );
    const stack = steps.find(step => 'file' in step && !step.inside);
    expect(stack && 'text' in stack && stack.text).toContain('BirthdayApi');
    const last = steps[steps.length - 1];
    expect('commands' in last && last.commands).toMatch(/npx aws-cdk@2 synth --quiet\n$/);
  },
);

test('what runs the app is one command, and then two requests', () => {
  expect(stepsOf(page, 'Run it')).toEqual([
    { commands: 'npx cdk-localhost up\n' },
    { commands: expect.stringMatching(/^curl -i -X PUT .*\ncurl -i \S+\n$/) as string },
  ]);
});

test('every link of the page leads to a file or a heading', () => {
  for (const [, link] of page.matchAll(/\]\(([^)]+)\)/g)) {
    if (!link.startsWith('#')) {
      expect(existsSync(path.resolve(__dirname, '../docs', link.split('#')[0])), link).toBe(true);
      continue;
    }
    const anchors = [...page.matchAll(/^#+ (.*)$/gm)].map(([, text]) =>
      text
        .toLowerCase()
        .replace(/[^\w -]/g, '')
        .replaceAll(' ', '-'),
    );
    expect(anchors, link).toContain(link.slice(1));
  }
});

describe('its steps as a script', () => {
  const write = (file: string, inside?: string) =>
    scriptOf(
      [{ commands: 'echo package\n' }, { file, inside, text: "<a>it's $HOME</a>\n" }],
      [['package', 'tarball']],
    );
  const run = (script: string, files: Record<string, string>) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'first-hour-'));
    try {
      for (const [name, text] of Object.entries(files)) {
        mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
        writeFileSync(path.join(folder, name), text);
      }
      const printed = execFileSync('bash', ['-c', script], { cwd: folder, encoding: 'utf8', stdio: 'pipe' });
      return { printed, read: (name: string) => readFileSync(path.join(folder, name), 'utf8') };
    } finally {
      process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
    }
  };

  test('prints each command as the page has it, and does it with what stands for the registry', () => {
    const { printed, read } = run(write('pom.xml', 'all'), { 'pom.xml': '<all>1</all>' });
    expect(printed).toMatch(/^\x01\$ echo package\ntarball\n\x01 {2}\(\d+ s\)\n$/);
    expect(read('pom.xml')).toBe("<all>1<a>it's $HOME</a>\n</all>");
  });

  test('stops where `cdk init` has another file than the page says', () => {
    expect(() => run(write('lib/stack.ts'), { 'lib/other.ts': '' })).toThrow(/lib\/stack\.ts is not there/);
  });

  test('stops where the page no longer has what is replaced', () => {
    expect(() => scriptOf([{ commands: 'true\n' }], [['npm install x', 'y']])).toThrow(
      /does not have `npm install x`/,
    );
  });
});
