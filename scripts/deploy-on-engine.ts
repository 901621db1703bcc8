/** Deploys the example stack by an engine's CloudFormation, and asks what it has created. */
import { readFileSync, rmSync, statSync } from 'node:fs';
import * as path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { type Lives, livesOn } from './lives-on-engine';
import { writeZip } from './zip';
import { synthesizeExamples } from '../demo/example/synth';
import { LocalGitHost } from '../demo/hosts/git/git-host';
import { WebhookHost } from '../demo/hosts/webhook/webhook-host';
import { clientOf } from '../packages/local/test/calls/run';

export interface Deployed {
  /** For docs/engines.md. */
  readonly text: string;
  /** What must not happen. */
  readonly problems: string[];
  readonly lives: Lives;
}

const STACK = 'Demo';
const PATIENCE_MS = 120_000;

interface AssetManifest {
  readonly files: Record<
    string,
    {
      readonly source: { readonly path: string; readonly packaging: string };
      readonly destinations: Record<string, { readonly bucketName: string; readonly objectKey: string }>;
    }
  >;
}

/** A call of the query protocol, which CloudFormation speaks. */
async function call(endpoint: string, Action: string, input: Record<string, string>): Promise<string> {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      authorization:
        'AWS4-HMAC-SHA256 Credential=123456789012/20260101/us-east-1/cloudformation/aws4_request, SignedHeaders=host, Signature=0',
    },
    body: new URLSearchParams({ Action, Version: '2010-05-15', ...input }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${Action} answered ${response.status}: ${text.slice(0, 500)}`);
  return text;
}

const all = (xml: string, tag: string) =>
  [...xml.matchAll(new RegExp(`<${tag}>([^<]*)</${tag}>`, 'g'))].map(([, text]) => text);

export async function deployExamples(endpoint: string): Promise<Deployed> {
  const ends: (() => unknown)[] = [];
  try {
    const gitHost = await LocalGitHost.start();
    ends.push(() => gitHost.stop());
    const webhookHost = await WebhookHost.start();
    ends.push(() => webhookHost.stop());
    const hosts = { gitHost: gitHost.settings, webhookHosts: webhookHost.settings };
    const assembly = synthesizeExamples(hosts);
    ends.push(() => rmSync(assembly, { recursive: true, force: true }));
    const template = await putAssets(endpoint, assembly);
    await call(endpoint, 'CreateStack', {
      StackName: STACK,
      TemplateURL: template.url, // it is larger than a body may be
      'Capabilities.member.1': 'CAPABILITY_NAMED_IAM',
    });
    const status = await endOf(endpoint);
    const resources = await call(endpoint, 'DescribeStackResources', { StackName: STACK });
    const statuses = all(resources, 'ResourceStatus');
    const complete = statuses.filter(text => text === 'CREATE_COMPLETE').length;
    const wanted = Object.keys((JSON.parse(template.text) as { Resources: object }).Resources).length;
    const problems = [
      ...(status === 'CREATE_COMPLETE' ? [] : [`The examples' stack is ${status}`]),
      ...(complete === wanted ? [] : [`${complete} of the examples' ${wanted} resources are made`]),
    ];
    const stacks = await call(endpoint, 'DescribeStacks', { StackName: STACK });
    const pairs = (xml: string, name: string, value: string) => {
      const values = all(xml, value);
      return Object.fromEntries(all(xml, name).map((each, index) => [each, values[index]]));
    };
    const lives = await livesOn(
      {
        endpoint,
        outputs: pairs(stacks, 'OutputKey', 'OutputValue'),
        resources: pairs(resources, 'LogicalResourceId', 'PhysicalResourceId'),
      },
      gitHost,
      webhookHost,
    );
    return {
      lives,
      text: `MiniStack's CloudFormation makes ${complete} of ${wanted} resources of the example stack (every block); the stack is ${status}. It
proves references and order, not IAM and not quotas.`,
      problems,
    };
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

/** @returns the template, which is there too */
async function putAssets(endpoint: string, assembly: string): Promise<{ url: string; text: string }> {
  const { files } = JSON.parse(
    readFileSync(path.join(assembly, `${STACK}.assets.json`), 'utf8'),
  ) as AssetManifest;
  const s3 = clientOf('s3', endpoint);
  const made = new Set<string>();
  for (const { source, destinations } of Object.values(files)) {
    for (const { bucketName, objectKey } of Object.values(destinations)) {
      const Bucket = bucketName.replace(/\$\{AWS::(AccountId|Region|Partition)\}/g, (_, name: string) =>
        name === 'AccountId' ? '123456789012' : 'us-east-1',
      );
      if (!made.has(Bucket)) await s3.send('CreateBucket', { Bucket });
      made.add(Bucket);
      const file = path.resolve(assembly, source.path);
      const Body = statSync(file).isDirectory()
        ? writeZip([{ name: 'index.js', mode: 0o644, data: readFileSync(path.join(file, 'index.js')) }])
        : readFileSync(file);
      await s3.send('PutObject', { Bucket, Key: objectKey, Body });
    }
  }
  const text = readFileSync(path.join(assembly, `${STACK}.template.json`), 'utf8').replaceAll(
    '"AWS::SSM::Parameter::Value<String>"', // of the bootstrap stack's version, which is not deployed there
    '"String"',
  );
  const [Bucket] = made;
  await s3.send('PutObject', { Bucket, Key: 'template.json', Body: text });
  s3.destroy();
  return { url: `${endpoint}/${Bucket}/template.json`, text };
}

async function endOf(endpoint: string): Promise<string> {
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await wait(500)) {
    const [status = ''] = all(await call(endpoint, 'DescribeStacks', { StackName: STACK }), 'StackStatus');
    if (status !== '' && !status.endsWith('_IN_PROGRESS')) return status;
  }
  return 'not made in time';
}
