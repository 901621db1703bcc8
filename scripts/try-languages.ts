/**
 * Synthesizes one app of all blocks, written by hand in each language (examples/), with the packages as the registries would get them, at
 * the lowest and at the newest CDK of the range, and compares the templates: they must be equal. A language whose toolchain is not on
 * this machine is named and left out. `-- python java` takes only those; PYTHON names the python, NEWEST_CDK the newest CDK, for a day on
 * which not every registry has it yet.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { isDeepStrictEqual } from 'node:util';

const ROOT = path.resolve(__dirname, '..');
const EXAMPLES = path.join(ROOT, 'examples');
const PYTHON = process.env.PYTHON ?? 'python3';

interface Versions {
  readonly cdk: string;
  readonly constructs: string;
}

interface Language {
  /** A command that tells whether the toolchain is there. */
  readonly tool: readonly [string, ...string[]];
  /** Synthesizes the example in a new folder. */
  synth(folder: string, versions: Versions, packages: string): void;
}

function run(cwd: string, env: NodeJS.ProcessEnv, program: string, ...args: string[]): void {
  try {
    execFileSync(program, args, {
      cwd,
      env: { ...process.env, JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION: '20', ...env },
      stdio: 'pipe',
    });
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: Buffer; stderr?: Buffer };
    throw new Error(
      `${program} ${args.join(' ')}:\n${String(stdout).slice(-4000)}${String(stderr).slice(-4000)}`,
    );
  }
}

const LANGUAGES: Record<string, Language> = {
  typescript: {
    tool: ['npm', '--version'],
    synth(folder, { cdk, constructs }, packages) {
      writeFileSync(path.join(folder, 'package.json'), '{"private":true}');
      const [tarball] = readdirSync(path.join(packages, 'js'));
      run(
        folder,
        {},
        'npm',
        'install',
        '--no-save',
        '--prefer-offline',
        '--no-audit',
        '--no-fund',
        `aws-cdk-lib@${cdk}`,
        `constructs@${constructs}`,
        path.join(packages, 'js', tarball),
      );
      const app = readFileSync(path.join(EXAMPLES, 'typescript', 'app.ts'), 'utf8').replace(
        '../../src',
        'cdk-serverless-blocks',
      );
      writeFileSync(path.join(folder, 'app.ts'), app);
      run(folder, { CDK_OUTDIR: 'cdk.out' }, process.execPath, '--import', require.resolve('tsx'), 'app.ts');
    },
  },
  python: {
    tool: [PYTHON, '--version'],
    synth(folder, { cdk, constructs }, packages) {
      run(folder, {}, PYTHON, '-m', 'venv', 'venv');
      const python = path.join(folder, 'venv', 'bin', 'python');
      run(
        folder,
        {},
        python,
        '-m',
        'pip',
        'install',
        '--quiet',
        `aws-cdk-lib==${cdk}`,
        `constructs==${constructs}`,
        path.join(packages, 'python'),
      );
      run(folder, { CDK_OUTDIR: 'cdk.out' }, python, path.join(EXAMPLES, 'python', 'app.py'));
    },
  },
  java: {
    tool: ['mvn', '--version'],
    synth(folder, { cdk, constructs }, packages) {
      cpSync(path.join(EXAMPLES, 'java'), folder, { recursive: true });
      const local = `-Dmaven.repo.local=${path.join(packages, 'maven')}`;
      run(
        path.join(packages, 'java'),
        {},
        'mvn',
        '-q',
        '-B',
        local,
        '-DskipTests',
        '-Dmaven.javadoc.skip=true',
        '-Dmaven.source.skip=true',
        '-Dgpg.skip=true',
        'install',
      );
      const version = `-Dblocks.version=${packageVersion()}`;
      run(
        folder,
        { CDK_OUTDIR: path.join(folder, 'cdk.out') },
        'mvn',
        '-q',
        '-B',
        local,
        version,
        `-Dcdk.version=${cdk}`,
        `-Dconstructs.version=${constructs}`,
        'compile',
        'org.codehaus.mojo:exec-maven-plugin:3.5.0:java',
        '-Dexec.mainClass=Example',
      );
    },
  },
  go: {
    tool: ['go', 'version'],
    synth(folder, { cdk, constructs }, packages) {
      cpSync(path.join(EXAMPLES, 'go'), folder, { recursive: true });
      const own = 'github.com/cdk-serverless-blocks/cdk-serverless-blocks-go/cdkserverlessblocks';
      writeFileSync(
        path.join(folder, 'go.mod'),
        `module example\n\ngo 1.23\n\nrequire (\n\tgithub.com/aws/aws-cdk-go/awscdk/v2 v${cdk}\n\tgithub.com/aws/constructs-go/constructs/v10 v${constructs}\n\t${own} v0.0.0\n)\n\nreplace ${own} => ${path.join(packages, 'go', 'cdkserverlessblocks')}\n`,
      );
      run(folder, {}, 'go', 'mod', 'tidy');
      run(folder, { CDK_OUTDIR: 'cdk.out' }, 'go', 'run', '.');
    },
  },
  csharp: {
    tool: ['dotnet', '--version'],
    synth(folder, { cdk, constructs }, packages) {
      cpSync(path.join(EXAMPLES, 'csharp'), folder, { recursive: true });
      const source = path.join(packages, 'dotnet');
      run(source, {}, 'dotnet', 'pack', 'CdkServerlessBlocks', '-o', source);
      const versions = [
        `-p:CdkVersion=[${cdk}]`,
        `-p:ConstructsVersion=[${constructs}]`,
        `-p:BlocksVersion=${packageVersion()}`,
      ];
      run(folder, {}, 'dotnet', 'restore', ...versions, '--source', source, '--source', 'nuget.org');
      run(folder, { CDK_OUTDIR: 'cdk.out' }, 'dotnet', 'run', '--no-restore', ...versions);
    },
  },
};

function packageVersion(): string {
  return (JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as { version: string }).version;
}

function isThere([program, ...args]: readonly [string, ...string[]]): boolean {
  try {
    execFileSync(program, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** What CloudFormation acts on: without where a construct stands in the source, and the CDK's own count of constructs. */
function templateOf(folder: string): unknown {
  const text = readFileSync(path.join(folder, 'cdk.out', 'Example.template.json'), 'utf8');
  const template = JSON.parse(text, (key, value: unknown) => (key === 'Metadata' ? undefined : value)) as {
    Resources: Record<string, unknown>;
    Conditions?: unknown;
  };
  delete template.Resources.CDKMetadata;
  delete template.Conditions;
  return template;
}

function versionsFrom(file: string, kind: 'dependencies' | 'peerDependencies'): Versions {
  const manifest = JSON.parse(readFileSync(path.join(ROOT, file), 'utf8')) as Record<
    typeof kind,
    Record<string, string>
  >;
  const exact = (name: string) => manifest[kind][name].replace('^', '');
  return { cdk: exact('aws-cdk-lib'), constructs: exact('constructs') };
}

function main(): void {
  const chosen = process.argv.slice(2);
  const unknown = chosen.find(name => !LANGUAGES[name]);
  if (unknown) throw new Error(`${unknown} is not one of ${Object.keys(LANGUAGES).join(', ')}`);
  const names = [
    'typescript',
    ...Object.keys(LANGUAGES).filter(
      name => name !== 'typescript' && (chosen.length === 0 || chosen.includes(name)),
    ),
  ];
  const folder = mkdtempSync(path.join(tmpdir(), 'languages-'));
  try {
    const packages = path.join(folder, 'packages');
    const current = versionsFrom('test/current-cdk/package.json', 'dependencies');
    const newest = { ...current, cdk: process.env.NEWEST_CDK ?? current.cdk };
    const there = names.filter(name => isThere(LANGUAGES[name].tool));
    for (const name of names.filter(candidate => !there.includes(candidate))) {
      process.stdout.write(`Left out: ${name}, there is no \`${LANGUAGES[name].tool[0]}\` here\n`);
    }
    const targets = there.map(name => ({ typescript: 'js', csharp: 'dotnet' })[name] ?? name);
    const generated = targets.filter(target => target !== 'js');
    if (generated.length > 0) {
      run(
        ROOT,
        {},
        path.join(ROOT, 'node_modules', '.bin', 'jsii-pacmak'),
        '--code-only',
        '--outdir',
        packages,
        '--target',
        ...generated,
      );
    }
    mkdirSync(path.join(packages, 'js'), { recursive: true });
    run(ROOT, {}, 'npm', 'pack', '--ignore-scripts', '--pack-destination', path.join(packages, 'js'));
    for (const versions of [versionsFrom('package.json', 'peerDependencies'), newest]) {
      let first: unknown;
      for (const name of there) {
        const cell = path.join(folder, `${name}-${versions.cdk}`);
        mkdirSync(cell);
        const begin = performance.now();
        LANGUAGES[name].synth(cell, versions, packages);
        const template = templateOf(cell);
        first ??= template;
        if (!isDeepStrictEqual(template, first)) {
          throw new Error(
            `${name} with aws-cdk-lib ${versions.cdk} gives another template than ${there[0]}: compare ${path.relative('.', cell)}`,
          );
        }
        const resources = Object.keys((template as { Resources: object }).Resources).length;
        process.stdout.write(
          `${name}, aws-cdk-lib ${versions.cdk}: ${resources} resources, equal (${Math.round((performance.now() - begin) / 1000)} s)\n`,
        );
      }
    }
  } finally {
    if (!process.env.KEEP) rmSync(folder, { recursive: true, force: true });
  }
}

try {
  main();
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
