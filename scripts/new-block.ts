/**
 * `npm run new-block -- <name>`: makes a working block (an HTTP API with one function), in every place that
 * a block has, and adds it to every list that names the blocks. docs/architecture.md says which places these
 * are.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { filesOf, type Names } from './new-block-files';

/** A list that names the blocks: the new one goes before the mark, the first after the anchor. */
interface Insertion {
  readonly file: string;
  readonly anchor: string;
  readonly mark: string;
  readonly text: string;
}

export function namesOf(block: string): Names {
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(block)) {
    throw new Error(
      `The name of a block is lower-case words with hyphens between them, such as \`order-intake\`, got ${JSON.stringify(block)}`,
    );
  }
  const type = block.replace(/(?:^|-)(.)/g, (_, letter: string) => letter.toUpperCase());
  return { block, type, variable: type[0].toLowerCase() + type.slice(1) };
}

export function insertionsOf({ block, type, variable }: Names): Insertion[] {
  return [
    { file: 'scripts/bundle.ts', anchor: 'export const BUNDLES = [', mark: '];', text: `  '${block}',\n` },
    {
      file: 'src/index.ts',
      anchor: `export * from './birthday-api';`,
      mark: '',
      text: `export * from './${block}';\n`,
    },
    {
      file: 'test/blocks.ts',
      anchor: 'import {\n  BirthdayApi,',
      mark: `} from '../src';`,
      text: `  ${type},\n`,
    },
    {
      file: 'test/blocks.ts',
      anchor: 'export const BLOCK_CASES: BlockCase[] = [',
      mark: '];\n',
      text: `  {
    name: '${type}',
    minimal: (stack, id) => new ${type}(stack, id),
    maximal: (stack, id) =>
      new ${type}(stack, id, {
        tracing: lambda.Tracing.ACTIVE,
        vpc: new ec2.Vpc(stack, \`\${id}Vpc\`, { maxAzs: 2 }),
      }),
  },
`,
    },
    {
      file: 'examples/app.ts',
      anchor: 'import ',
      mark: 'export interface DemoProps',
      text: `import { ${type} } from '../src/${block}';\n`,
    },
    {
      file: 'examples/app.ts',
      anchor: '    super(scope, id, props);\n',
      mark: '    addPushes(',
      text: `    const ${variable} = new ${type}(this, '${type}');
    new CfnOutput(this, '${type}Url', { value: ${variable}.url });

`,
    },
    {
      file: 'demo/example/blocks.ts',
      anchor: 'export const BLOCKS: Block[] = [',
      mark: '];\n',
      text: `  {
    name: '${variable}',
    url: 'url',
    tour: [{ title: 'A greeting', method: 'GET', path: '/${block}/ada', expect: 200 }],
  },
`,
    },
    {
      file: 'README.md',
      anchor: '| [`BirthdayApi`](',
      mark: '\n\n',
      text: `\n| [\`${type}\`](https://github.com/cdk-serverless-blocks/cdk-serverless-blocks/blob/main/src/${block}/README.md) | TODO: what it is, in one line |`,
    },
  ];
}

/**
 * Writes the block below a folder that holds the repository. Returns the files written and the files added
 * to.
 */
export function newBlock(root: string, name: string): { made: string[]; changed: string[] } {
  const names = namesOf(name);
  const files = filesOf(names);
  const taken = Object.keys(files).find(file => existsSync(path.join(root, file)));
  if (taken) throw new Error(`${taken} exists: choose another name, or remove the block first`);
  const changes = new Map<string, string>();
  for (const { file, anchor, mark, text } of insertionsOf(names)) {
    const before = changes.get(file) ?? readFileSync(path.join(root, file), 'utf8');
    const start = before.indexOf(anchor);
    const end = start < 0 ? -1 : mark === '' ? before.length : before.indexOf(mark, start);
    if (end < 0) {
      throw new Error(
        `${file} has no ${JSON.stringify(anchor)} with ${JSON.stringify(mark)} after it: mend scripts/new-block.ts`,
      );
    }
    changes.set(file, before.slice(0, end) + text + before.slice(end));
  }
  // Only now, so that a list that was not found leaves nothing half done.
  for (const [file, content] of [...Object.entries(files), ...changes]) {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    writeFileSync(path.join(root, file), content);
  }
  return { made: Object.keys(files), changed: [...changes.keys()] };
}

if (require.main === module) {
  const [name] = process.argv.slice(2);
  try {
    if (!name) throw new Error('npm run new-block -- <name>, such as `order-intake`');
    const { made, changed } = newBlock(path.resolve(__dirname, '..'), name);
    process.stdout.write(`${made.map(file => `made     ${file}`).join('\n')}
${changed.map(file => `added to ${file}`).join('\n')}

It works: \`npx tsx scripts/bundle.ts && npx vitest run test/${name}\`. Now say in src/${name}/README.md and README.md what it is for, and
before a commit: \`npx biome check --write .\`, \`npx projen compile && npx projen docgen\`, \`npm test\`.
`);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}
