/**
 * Walks the first hour (docs/languages.md) in each language, from an empty folder, and then synthesizes one app of all blocks, written by hand in each language (examples/), with the packages as the registries would get them, at
 * the lowest and at the newest CDK of the range, and compares the templates with TypeScript's: they must be equal. A registry gets a new
 * CDK hours or days after npm; until then its language takes the newest that it has, and the output says so.
 * A language whose toolchain is not on this machine is named and left out. `-- python java` takes only
 * those, `-- --first-hour` walks and compares nothing; PYTHON names the python, and KEEP=1 keeps the
 * folders.
 */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { unknownNames } from './csharp-names';
import { firstHour, type Instead } from './first-hour';
import { LOWEST_GO_CDK, raiseCdk } from './go-module';

const ROOT = path.resolve(__dirname, '..');
const EXAMPLES = path.join(ROOT, 'examples');
const MAVEN_DEPENDENCY = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1';
const GO_PACKAGE = 'github.com/cdk-serverless-blocks/cdk-serverless-blocks-go/cdkserverlessblocks';
const PYTHON = process.env.PYTHON ?? 'python3';

interface Versions {
  readonly cdk: string;
  readonly constructs: string;
}

interface Language {
  /** A command that shows whether the toolchain is there. */
  readonly tool: readonly [string, ...string[]];
  /** The lowest CDK of this language, if it is not that of the range. */
  readonly lowest?: string;
  /** The part of docs/languages.md. */
  readonly heading: string;
  /** A command that shows whether the registry of this language has that CDK. */
  has?(cdk: string): readonly [string, ...string[]];
  /** What stands for the registry when that part is walked, and the environment that this takes. */
  instead(packages: string): Instead;
  environment?(packages: string): NodeJS.ProcessEnv;
  /** Synthesizes the example in a new folder. */
  synth(folder: string, versions: Versions, packages: string): void;
}

function run(cwd: string, env: NodeJS.ProcessEnv, program: string, ...args: string[]): void {
  try {
    execFileSync(program, args, {
      cwd,
      env: {
        ...process.env,
        TSX_TSCONFIG_PATH: undefined,
        JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION: '20',
        ...env,
      },
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
    heading: 'TypeScript',
    instead: packages => [['npm install cdk-serverless-blocks', `npm install ${only(packages, 'js')}`]],
    synth(folder, { cdk, constructs }, packages) {
      writeFileSync(path.join(folder, 'package.json'), '{"private":true}');
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
        only(packages, 'js'),
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
    heading: 'Python',
    instead: packages => [
      ["'cdk-serverless-blocks'", `'cdk-serverless-blocks @ file://${path.join(packages, 'python')}'`],
    ],
    has: cdk => [PYTHON, '-m', 'pip', 'install', '--dry-run', '--quiet', '--no-deps', `aws-cdk-lib==${cdk}`],
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
    heading: 'Java',
    instead: packages => {
      installJava(packages);
      // Of what Maven Central has: `cdk init` writes the CDK of npm, hours or days ahead of it.
      const { cdk } = newestFor('java', versionsFrom('test/current-cdk/package.json', 'dependencies'));
      return [
        ['<version>[1,2)</version>', `<version>${packageVersion()}</version>`],
        ['--language java', `--language java && mkdir .mvn && echo -Dcdk.version=${cdk} > .mvn/maven.config`],
      ];
    },
    environment: packages => ({ MAVEN_OPTS: mavenRepository(packages) }),
    has: cdk => [
      'mvn',
      '-q',
      '-B',
      '-U',
      `${MAVEN_DEPENDENCY}:get`,
      // The jar and not the pom: Maven Central may have the one before the other.
      `-Dartifact=software.amazon.awscdk:aws-cdk-lib:${cdk}`,
      '-Dtransitive=false',
    ],
    synth(folder, { cdk, constructs }, packages) {
      cpSync(path.join(EXAMPLES, 'java'), folder, { recursive: true });
      installJava(packages);
      const version = `-Dblocks.version=${packageVersion()}`;
      run(
        folder,
        { CDK_OUTDIR: path.join(folder, 'cdk.out') },
        'mvn',
        '-q',
        '-B',
        mavenRepository(packages),
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
    heading: 'Go',
    instead: packages => [
      [
        `go get ${GO_PACKAGE}`,
        `go mod edit -require=${GO_PACKAGE}@v0.0.0 -replace=${GO_PACKAGE}=${path.join(packages, 'go', 'cdkserverlessblocks')}`,
      ],
    ],
    lowest: LOWEST_GO_CDK,
    has: cdk => ['go', 'mod', 'download', `github.com/aws/aws-cdk-go/awscdk/v2@v${cdk}`],
    synth(folder, { cdk, constructs }, packages) {
      cpSync(path.join(EXAMPLES, 'go'), folder, { recursive: true });
      writeFileSync(
        path.join(folder, 'go.mod'),
        `module example\n\ngo 1.23\n\nrequire (\n\tgithub.com/aws/aws-cdk-go/awscdk/v2 v${cdk}\n\tgithub.com/aws/constructs-go/constructs/v10 v${constructs}\n\t${GO_PACKAGE} v0.0.0\n)\n\nreplace ${GO_PACKAGE} => ${path.join(packages, 'go', 'cdkserverlessblocks')}\n`,
      );
      run(folder, {}, 'go', 'mod', 'tidy');
      run(folder, { CDK_OUTDIR: 'cdk.out' }, 'go', 'run', '.');
    },
  },
  csharp: {
    tool: ['dotnet', '--version'],
    heading: 'C#',
    instead: packages => [
      [
        'package CdkServerlessBlocks',
        `package CdkServerlessBlocks --version ${packageVersion()} --source ${packDotnet(packages)} --source nuget.org`,
      ],
    ],
    synth(folder, { cdk, constructs }, packages) {
      cpSync(path.join(EXAMPLES, 'csharp'), folder, { recursive: true });
      const source = packDotnet(packages);
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

/** The one file of a folder. */
function only(packages: string, folder: string): string {
  const [file] = readdirSync(path.join(packages, folder));
  return path.join(packages, folder, file);
}

function mavenRepository(packages: string): string {
  return `-Dmaven.repo.local=${path.join(packages, 'maven')}`;
}

/** Into a repository of its own, once. */
function installJava(packages: string): void {
  if (existsSync(path.join(packages, 'maven', 'io', 'github', 'cdk-serverless-blocks'))) return;
  const quick = ['-DskipTests', '-Dmaven.javadoc.skip=true', '-Dmaven.source.skip=true', '-Dgpg.skip=true'];
  run(path.join(packages, 'java'), {}, 'mvn', '-q', '-B', mavenRepository(packages), ...quick, 'install');
}

function packDotnet(packages: string): string {
  const source = path.join(packages, 'dotnet');
  run(source, {}, 'dotnet', 'pack', 'CdkServerlessBlocks', '-o', source);
  return source;
}

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

/**
 * What CloudFormation acts on: without the place of a construct in the source, and the CDK's own count of
 * constructs.
 */
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

const newestOf = new Map<string, Versions>();

/** The newest CDK, up to that of the tests, that the language's registry has; asked once. */
function newestFor(name: string, newest: Versions): Versions {
  const known = newestOf.get(name) ?? askedNewest(name, newest);
  newestOf.set(name, known);
  return known;
}

function askedNewest(name: string, newest: Versions): Versions {
  const has = LANGUAGES[name].has?.bind(LANGUAGES[name]);
  if (!has || isThere(has(newest.cdk))) return newest;
  const all = JSON.parse(
    execFileSync('npm', ['view', 'aws-cdk-lib', 'versions', '--json'], { encoding: 'utf8' }),
  ) as string[];
  const older = all.slice(0, all.indexOf(newest.cdk)).reverse().slice(0, 24);
  const cdk = older.find(version => isThere(has(version)));
  if (!cdk) {
    throw new Error(`The registry of ${name} has none of aws-cdk-lib ${newest.cdk}, ${older.join(', ')}`);
  }
  process.stdout.write(`${name}: its registry does not have aws-cdk-lib ${newest.cdk} yet, ${cdk} instead\n`);
  return { ...newest, cdk };
}

/**
 * The packages as the registries would get them: npm's, and the sources that jsii-pacmak writes for the
 * others.
 */
function pack(names: string[], packages: string): void {
  const targets = names.map(name => ({ csharp: 'dotnet' })[name] ?? name);
  const pacmak = path.join(ROOT, 'node_modules', '.bin', 'jsii-pacmak');
  if (targets.length > 0) run(ROOT, {}, pacmak, '--code-only', '--outdir', packages, '--target', ...targets);
  if (targets.includes('go')) raiseCdk(path.join(packages, 'go'));
  mkdirSync(path.join(packages, 'js'), { recursive: true });
  run(ROOT, {}, 'npm', 'pack', '--ignore-scripts', '--pack-destination', path.join(packages, 'js'));
  run(
    ROOT,
    {},
    process.execPath,
    '--import',
    require.resolve('tsx'),
    'scripts/build-localhost.ts',
    path.join(packages, 'localhost'),
  );
}

async function main(): Promise<void> {
  const chosen = process.argv.slice(2).filter(argument => argument !== '--first-hour');
  const walkOnly = process.argv.includes('--first-hour');
  const others = Object.keys(LANGUAGES).filter(name => name !== 'typescript');
  const unknown = chosen.find(name => !LANGUAGES[name]);
  if (unknown) throw new Error(`${unknown} is not one of ${Object.keys(LANGUAGES).join(', ')}`);
  const names = chosen.length === 0 ? others : others.filter(name => chosen.includes(name));
  const there = names.filter(name => isThere(LANGUAGES[name].tool));
  const leftOut = names.filter(name => !there.includes(name));
  const folder = mkdtempSync(path.join(tmpdir(), 'languages-'));
  const packages = path.join(folder, 'packages');
  const synth = (name: string, versions: Versions): unknown => {
    const cell = path.join(folder, `${name}-${versions.cdk}`);
    mkdirSync(cell);
    LANGUAGES[name].synth(cell, versions, packages);
    return templateOf(cell);
  };
  const references = new Map<string, unknown>();
  const reference = (versions: Versions): unknown => {
    if (!references.has(versions.cdk)) references.set(versions.cdk, synth('typescript', versions));
    return references.get(versions.cdk);
  };
  try {
    // What cannot be compiled here is still generated: jsii-pacmak stops at a name that such a language
    // cannot have.
    pack(names, packages);
    const walked = chosen.length === 0 || chosen.includes('typescript') ? ['typescript', ...there] : there;
    for (const name of walked) {
      const { heading, instead, environment } = LANGUAGES[name];
      const folderOf = path.join(folder, `first-hour-${name}`);
      const localhost = `npx --package=${only(packages, 'localhost')} cdk-localhost`;
      const told = await firstHour(heading, folderOf, instead(packages), localhost, environment?.(packages));
      process.stdout.write(`${heading}, as docs/languages.md says:\n${told.replaceAll(/^/gm, '  ')}\n`);
    }
    if (leftOut.includes('csharp')) {
      const absent = unknownNames(path.join(packages, 'dotnet'));
      if (absent.length > 0) throw new Error(`C#: the package has no ${absent.join(', ')}`);
    }
    if (walkOnly) return;
    const lowest = versionsFrom('package.json', 'peerDependencies');
    const current = versionsFrom('test/current-cdk/package.json', 'dependencies');
    for (const versions of [lowest, current]) {
      const { Resources } = reference(versions) as { Resources: object };
      process.stdout.write(
        `typescript, aws-cdk-lib ${versions.cdk}: ${Object.keys(Resources).length} resources\n`,
      );
    }
    for (const name of there) {
      const own = { ...lowest, cdk: LANGUAGES[name].lowest ?? lowest.cdk };
      for (const versions of [own, newestFor(name, current)]) {
        const begin = performance.now();
        if (!isDeepStrictEqual(synth(name, versions), reference(versions))) {
          throw new Error(
            `${name} with aws-cdk-lib ${versions.cdk} gives another template than typescript: compare the folders in ${folder} (KEEP=1 keeps them)`,
          );
        }
        const seconds = Math.round((performance.now() - begin) / 1000);
        process.stdout.write(`${name}, aws-cdk-lib ${versions.cdk}: the same template (${seconds} s)\n`);
      }
    }
    for (const name of leftOut) {
      process.stdout.write(
        `NOT CHECKED: ${name}. There is no \`${LANGUAGES[name].tool[0]}\` here: its package was written, but neither it nor ` +
          `examples/${name} was compiled or run${name === 'csharp' ? '; all names of ours that its code uses are in the package' : ''}.\n`,
      );
    }
  } finally {
    if (!process.env.KEEP) rmSync(folder, { recursive: true, force: true });
  }
}

main().catch((error: Error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
