/** The small handlers, each as shipped and as it would be otherwise. */
import { mkdirSync, readFileSync } from 'node:fs';
import * as path from 'node:path';
import { build, type BuildOptions, type Plugin } from 'esbuild';
import { FOLDER, goPeer, installPeers, ROOT } from './peers';
import { OPTIONS } from '../scripts/bundle';
import { CodeFormat } from '../src';

export interface Variant {
  readonly name: string;
  /** A bundle, or a program. */
  readonly file: string;
  readonly program?: true;
  readonly tls?: true;
}

export interface Case {
  readonly name: string;
  readonly export: string;
  readonly event: string;
  readonly status: number;
  readonly env: Readonly<Record<string, string>>;
  readonly variants: readonly Variant[];
}

export const REFERENCE = 'NodejsFunction, default';
export const AGAIN = 'the same once more: the noise';
export const OURS = 'cdk-serverless-blocks';

/**
 * https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.aws_lambda_nodejs-readme.html: the SDK of the
 * runtime, nothing minified.
 */
const DEFAULTS: BuildOptions = {
  platform: 'node',
  target: 'node22',
  bundle: true,
  external: ['@aws-sdk/*', '@smithy/*'],
  logLevel: 'error',
};
const { outdir: _, outbase: __, entryPoints: ___, ...SHIPPED } = OPTIONS;

const SERVICES = ['dynamodb', 'sqs', 'secrets-manager'];

/** Puts AWS's SDK in place of our client. */
function overSdk(services: readonly string[]): Plugin {
  return {
    name: 'over-sdk',
    setup: ({ onResolve }) =>
      onResolve({ filter: /shared\/aws\/(json|dynamodb|sqs|secrets-manager)$/ }, ({ path: module }) => {
        const name = path.basename(module);
        const used = name === 'json' || services.includes(name);
        return { path: path.join(ROOT, 'bench', 'peers', 'sdk', `${used ? name : 'unused'}.ts`) };
      }),
  };
}

async function variantsOf(bundle: string, services: readonly string[]): Promise<Variant[]> {
  const entry = { entryPoints: [path.join(ROOT, 'lambda-src', bundle, 'index.ts')], absWorkingDir: ROOT };
  const file = (kind: string) => path.join(FOLDER, `${bundle.replace('/', '-')}-${kind}.js`);
  const plugins = [overSdk(services)];
  await build({ ...entry, ...DEFAULTS, plugins, outfile: file('default') });
  await build({ ...SHIPPED, ...entry, plugins, outfile: file('bundled') });
  return [
    { name: REFERENCE, file: file('default') },
    { name: 'SDK, one minified bundle', file: file('bundled') },
    { name: OURS, file: path.join(ROOT, 'assets', bundle, 'index.js') },
  ];
}

/** The same route on what others use; those that are not available here are left out, with a notice. */
async function peersOfBirthday(): Promise<Variant[]> {
  const modules = installPeers();
  const peers: Variant[] = [];
  const entry = (name: string) => ({
    entryPoints: [path.join(ROOT, 'bench', 'peers', name)],
    nodePaths: modules ? [modules] : [],
    outfile: path.join(FOLDER, name.replace('.mjs', '.js')),
    absWorkingDir: ROOT,
  });
  if (modules) {
    const powertools = entry('birthday-put-powertools.mjs');
    await build({ ...DEFAULTS, ...powertools });
    const lite = entry('birthday-put-aws-lite.mjs');
    await build({ ...SHIPPED, ...lite });
    peers.push(
      { name: 'NodejsFunction, Powertools', file: powertools.outfile },
      { name: '@aws-lite, one minified bundle', file: lite.outfile },
    );
  }
  const go = goPeer();
  if (go) peers.push({ name: 'Go, with its own SDK', file: go, program: true });
  return peers;
}

const sample = (file: string) => readFileSync(path.join(ROOT, 'examples', file), 'utf8');

export async function cases(): Promise<Case[]> {
  mkdirSync(FOLDER, { recursive: true });
  const birthday = await variantsOf('birthday-api', ['dynamodb']);
  const [reference, bundled, ours] = birthday;
  return [
    {
      name: 'BirthdayApi, PUT',
      export: 'put',
      event: sample('birthday-api/events/put.json'),
      status: 204,
      env: { TABLE_NAME: 'birthdays', TIME_ZONE: 'UTC' },
      variants: [
        reference,
        { ...reference, name: AGAIN },
        bundled,
        ...(await peersOfBirthday()),
        ours,
        ...[reference, ours].map(variant => ({
          ...variant,
          name: `${variant.name}, over TLS`,
          tls: true as const,
        })),
      ],
    },
    {
      name: 'UniqueCodeTable, issue',
      export: 'issue',
      event: sample('unique-code-table/events/http-api.json'),
      status: 201,
      env: {
        TABLE_NAME: 'codes',
        IDEMPOTENCY_WINDOW_SECONDS: '86400',
        MAX_REDEMPTIONS: '1',
        CODE_FORMAT: JSON.stringify(CodeFormat.DEFAULT._format),
      },
      variants: await variantsOf('unique-code-table/issue', SERVICES),
    },
    {
      name: 'GitPushPipeline, a webhook',
      export: 'handler',
      event: sample('git-push-pipeline/events/webhook.json'),
      status: 202,
      env: {
        QUEUE_URL: 'ORIGIN/123456789012/pushes.fifo',
        REPOSITORIES: '["github.com/acme/*"]',
        WEBHOOK_SECRET_ARN: 'arn:aws:secretsmanager:us-east-1:123456789012:secret:webhook',
      },
      variants: await variantsOf('git-push-pipeline/accept', SERVICES),
    },
  ];
}
