import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import * as path from 'node:path';
import { listen, readBody } from 'cdk-localhost/server';
import { expect, test } from 'vitest';

const ROOT = path.resolve(__dirname, '..', '..');

async function publish(
  endpoint: string,
  ...args: string[]
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'scripts/publish-layer.ts', ...args], {
    cwd: ROOT,
    env: {
      ...process.env,
      AWS_ENDPOINT_URL_LAMBDA: endpoint,
      AWS_REGION: 'eu-central-1',
      AWS_ACCESS_KEY_ID: 'x',
      AWS_SECRET_ACCESS_KEY: 'x',
      AWS_MAX_ATTEMPTS: '1',
    },
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', chunk => {
    stdout += String(chunk);
  });
  child.stderr.on('data', chunk => {
    stderr += String(chunk);
  });
  return new Promise(resolve => child.once('close', code => resolve({ code, stdout, stderr })));
}

interface Published {
  readonly Content: { readonly ZipFile: string };
  readonly CompatibleArchitectures: string[];
}

test('both layers are published under their architectures, and their ARNs printed', async () => {
  const published: Record<string, Published> = {};
  const server = await listen(async (request, response) => {
    const name = /^\/2018-10-31\/layers\/([^/]+)\/versions$/.exec(request.url ?? '')![1];
    published[name] = JSON.parse((await readBody(request)).toString('utf8')) as Published;
    response
      .writeHead(201, { 'content-type': 'application/json' })
      .end(JSON.stringify({ LayerVersionArn: `arn:aws:lambda:eu-central-1:123456789012:layer:${name}:4` }));
  });
  try {
    const { code, stdout } = await publish(server.url, '--name', 'crashes');
    expect([code, stdout]).toEqual([
      0,
      'arn:aws:lambda:eu-central-1:123456789012:layer:crashes-x86_64:4\narn:aws:lambda:eu-central-1:123456789012:layer:crashes-arm64:4\n',
    ]);
    for (const architecture of ['x86_64', 'arm64']) {
      const { Content, CompatibleArchitectures } = published[`crashes-${architecture}`];
      expect(CompatibleArchitectures).toEqual([architecture]);
      expect(
        Buffer.from(Content.ZipFile, 'base64').equals(
          readFileSync(path.join(ROOT, 'assets', 'crash-reporter-layer', `${architecture}.zip`)),
        ),
      ).toBe(true);
    }
  } finally {
    await server.close();
  }
});

test('what AWS refuses is one line, and the command fails', async () => {
  const server = await listen(async (_, response) => {
    response
      .writeHead(403, { 'content-type': 'application/json', 'x-amzn-errortype': 'AccessDeniedException' })
      .end('{"Message":"not authorized to perform: lambda:PublishLayerVersion"}');
  });
  try {
    const { code, stdout, stderr } = await publish(server.url);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr.trim().split('\n').pop()).toBe(
      'AccessDeniedException: not authorized to perform: lambda:PublishLayerVersion',
    );
  } finally {
    await server.close();
  }
});

test('--help says what it takes, and asks nobody', async () => {
  const { code, stdout, stderr } = await publish('http://127.0.0.1:1', '--help');
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toContain(
    'npm run publish-layer -- [--name crash-reporter] [--region eu-central-1] [--profile work]',
  );
});

test('an unknown option is named', async () => {
  const { code, stdout, stderr } = await publish('http://127.0.0.1:1', '--nmae', 'x');
  expect([code, stdout]).toEqual([1, '']);
  expect(stderr).toContain("'--nmae'");
});
