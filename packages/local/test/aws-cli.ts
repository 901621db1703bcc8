/**
 * The lines for the AWS CLI in the README, run with the CLI itself: `npx projen test:aws-cli`. With `--
 * --record`, what the CLI sent and was answered goes to aws-cli-requests.json, which aws-cli.test.ts replays
 * without a CLI.
 */
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import * as http from 'node:http';
import * as path from 'node:path';
import { promisify } from 'node:util';
import * as s3 from 'aws-cdk-lib/aws-s3';
import { type RunningStack, startStack } from '../src/testing/stack';
import { listen, readBody } from '../src/util/server';

export interface Exchange {
  readonly service: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  /** What was sent, with its framing. */
  readonly body: string;
  readonly status: number;
  /** Without what changes from run to run. */
  readonly answer: string;
}

export interface RecordedLine {
  readonly line: string;
  readonly exchanges: Exchange[];
}

export const ROOT = path.resolve(__dirname, '..', '..', '..');
export const RECORDING = path.join(__dirname, 'aws-cli-requests.json');
const SERVICES = ['s3', 'sqs'];
/** The only headers that an answer may depend on. */
const KEPT_HEADERS = /^(x-amz-.*|content-(length|type|md5|encoding)|expect|transfer-encoding|range|if-.*)$/;

/** The lines that the README shows, as they are written there. */
export function readmeLines(): string[] {
  return readFileSync(path.join(ROOT, 'README.md'), 'utf8')
    .split('\n')
    .map(line => line.trim())
    .filter(line => /^aws (s3|sqs) /.test(line));
}

export function startForCli(): Promise<RunningStack> {
  return startStack(
    scope => void new s3.Bucket(scope, 'Zips', { bucketName: 'pushes-bucket', versioned: true }),
  );
}

/** Sends the bytes as they are, and gives the answer without what changes from run to run. */
export async function exchange(
  endpoint: string,
  sent: Pick<Exchange, 'method' | 'path' | 'headers'>,
  body: Buffer,
): Promise<{ status: number; answer: string; raw: Buffer; headers: http.IncomingHttpHeaders }> {
  const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
    const request = http
      .request(`${endpoint}${sent.path}`, { method: sent.method, headers: sent.headers }, resolve)
      .on('error', reject);
    if (sent.headers.expect) request.once('continue', () => request.end(body)).flushHeaders();
    else request.end(body);
  });
  const raw = await readBody(response);
  return {
    status: response.statusCode!,
    answer: stable(raw.toString('latin1')),
    raw,
    headers: response.headers,
  };
}

function stable(text: string): string {
  return text
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(\.[\w-]{32})?/g, 'ID')
    .replace(/127\.0\.0\.1:\d+/g, 'HOST');
}

async function main(record: boolean): Promise<void> {
  const stack = await startForCli();
  const lines: RecordedLine[] = [];
  let current: Exchange[] = [];
  const relays = await Promise.all(
    SERVICES.map(service =>
      listen(async (request, response) => {
        const body = await readBody(request);
        const headers = Object.fromEntries(
          Object.entries(request.headers).filter(([name]) => KEPT_HEADERS.test(name)),
        ) as Record<string, string>;
        const sent = { service, method: request.method!, path: request.url!, headers };
        const {
          status,
          answer,
          raw,
          headers: given,
        } = await exchange(stack.system.endpoints[service], sent, body);
        current.push({ ...sent, body: body.toString('latin1'), status, answer });
        response.writeHead(status, given).end(request.method === 'HEAD' ? undefined : raw);
      }),
    ),
  );
  const endpoints = Object.fromEntries(
    SERVICES.map((service, index) => [`AWS_ENDPOINT_URL_${service.toUpperCase()}`, relays[index].url]),
  );
  const env = {
    PATH: process.env.PATH,
    HOME: '/nonexistent',
    ...stack.system.endpointVariables(),
    ...endpoints,
    AWS_ACCESS_KEY_ID: 'local',
    AWS_SECRET_ACCESS_KEY: 'local',
    AWS_DEFAULT_REGION: 'us-east-1',
    AWS_PAGER: '',
  };
  try {
    process.stdout.write((await promisify(execFile)('aws', ['--version'], { env })).stdout);
    for (const line of readmeLines()) {
      current = [];
      const { stdout } = await promisify(execFile)('sh', ['-ec', line], { cwd: ROOT, env });
      process.stdout.write(`$ ${line}\n${stdout}`);
      lines.push({ line, exchanges: current });
    }
    if (record) writeFileSync(RECORDING, `${JSON.stringify(lines, undefined, 2)}\n`);
  } finally {
    for (const relay of relays) await relay.close();
    await stack.stop();
  }
}

if (require.main === module) {
  main(process.argv.includes('--record')).catch((error: NodeJS.ErrnoException) => {
    process.stderr.write(
      error.code === 'ENOENT'
        ? 'The AWS CLI is not installed: `pip install awscli`, or https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html\n'
        : `${error.message}\n`,
    );
    process.exitCode = 1;
  });
}
