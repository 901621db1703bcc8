/** The part of the tour that pushes with git and shows what is then in the bucket. */
import { once } from 'node:events';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { EventBridge } from 'cdk-localhost/event-bridge';
import type { System } from 'cdk-localhost/system';
import { listZip } from 'cdk-localhost/zip';
import { EVENT_SOURCE, type FailedDetail, type PublishedDetail } from '../../src/git-push-pipeline/contract';
import type { LocalGitHost } from '../hosts/git/git-host';

const PATIENCE_MS = 60_000;

/** @returns whether both pushes became the zips that they should */
export async function tourOfPushes(
  gitHost: LocalGitHost,
  system: System,
  print: (line: string) => void,
): Promise<boolean> {
  const branch = await push(
    gitHost,
    system,
    print,
    'refs/heads/main',
    { 'README.md': '# Demo\n', 'src/main.ts': 'export const answer = 42;\n' },
    'First version',
  );
  const tag = await push(
    gitHost,
    system,
    print,
    'refs/tags/v1',
    { 'CHANGES.md': 'v1: the first\n' },
    'Version 1',
  );
  return branch && tag;
}

async function push(
  gitHost: LocalGitHost,
  system: System,
  print: (line: string) => void,
  ref: string,
  files: Record<string, string>,
  message: string,
): Promise<boolean> {
  print(`\nPush to ${ref}\n  git push origin HEAD:${ref}`);
  const commit = await gitHost.push(ref, files, message);
  const outcome = await outcomeOf(system, ref);
  if (!outcome || !('key' in outcome)) {
    print(`  no zip: ${outcome?.reason ?? `nothing happened for ${PATIENCE_MS / 1000} seconds`}`);
    return false;
  }
  print(`  s3://${outcome.bucket}/${outcome.key}   ${outcome.bytes} bytes, version ${outcome.versionId}`);
  const entries = listZip(await download(system, outcome));
  for (const { name, bytes } of entries) print(`  ${String(bytes).padStart(8)}  ${name}`);
  return (
    outcome.commit === commit && Object.keys(files).every(file => entries.some(({ name }) => name === file))
  );
}

/** Waits for the event that the work function puts on the bus at its end. */
async function outcomeOf(system: System, ref: string): Promise<PublishedDetail | FailedDetail | undefined> {
  const bus = system.service(EventBridge);
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; ) {
    const found = bus.events.find(
      ({ event }) => event.source === EVENT_SOURCE && (event.detail as PublishedDetail).ref === ref,
    );
    if (found) return found.event.detail as PublishedDetail | FailedDetail;
    await once(AbortSignal.timeout(50), 'abort');
  }
  return undefined;
}

async function download(system: System, { bucket, key }: PublishedDetail): Promise<Buffer> {
  const client = new S3Client({
    region: 'us-east-1',
    endpoint: system.endpoints.s3,
    forcePathStyle: true,
    credentials: { accessKeyId: 'developer', secretAccessKey: 'local' },
  });
  try {
    const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
    return Buffer.from(await Body!.transformToByteArray());
  } finally {
    client.destroy();
  }
}
