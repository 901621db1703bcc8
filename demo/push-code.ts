/** `npm run push-code`: what the work function does with a push, from the command line and without any of AWS but a bucket. */
import {
  copyFileSync,
  createReadStream,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  type ReadStream,
  rmSync,
  statSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { S3Client } from '@aws-sdk/client-s3';
import { ProgressLine } from './example/push-progress';
import { s3ZipStore } from '../lambda-src/git-push-pipeline/adapters/s3-zip-store';
import { metadata } from '../lambda-src/git-push-pipeline/core/domain';
import { GitClient } from '../lambda-src/git-push-pipeline/git/commit-zip';
import { DEFAULT_LIMITS } from '../lambda-src/git-push-pipeline/git/limits';
import type { GitCredentials } from '../lambda-src/git-push-pipeline/git/transport';
import { createAddressGuard } from '../lambda-src/shared/address-guard';
import {
  formatAddress,
  parseAddress,
  type RepositoryAddress,
  repositoryIdentity,
} from '../src/git-push-pipeline/repository-address';

const USAGE = `Fetches a repository at its newest commit and stores the zip, as the work function of GitPushPipeline does.

  npm run push-code -- <repository> <bucket-or-folder> <key>

  <repository>        https://host/path, ssh://user@host/path or user@host:path
  <bucket-or-folder>  a folder is named with a slash in it: ./zips
  --ref REF           a ref in full, such as refs/tags/v1 (HEAD)
  --ssh-key FILE      the private key (~/.ssh/id_ed25519)
  --known-hosts FILE  the keys of hosts (~/.ssh/known_hosts)
  --ca FILE           certificates of a private authority, PEM
  --allow-private     lets the host be at a private or loopback address
  --minutes N         how long it may take (15)

A token for HTTPS is read from the environment variable GIT_TOKEN. The bucket is reached with the usual variables of AWS.
`;

const UNITS = { fetched: 'bytes', indexed: 'objects', zipped: 'entries' } as const;
const progress = new ProgressLine(process.stderr);

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      ref: { type: 'string', default: 'HEAD' },
      'ssh-key': { type: 'string', default: path.join(homedir(), '.ssh', 'id_ed25519') },
      'known-hosts': { type: 'string', default: path.join(homedir(), '.ssh', 'known_hosts') },
      ca: { type: 'string' },
      'allow-private': { type: 'boolean', default: false },
      minutes: { type: 'string', default: '15' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help || positionals.length !== 3) {
    (values.help ? process.stdout : process.stderr).write(USAGE);
    return values.help ? 0 : 1;
  }
  const [repository, target, key] = positionals;
  const address = parseAddress(repository);
  const directory = mkdtempSync(path.join(tmpdir(), 'push-code-'));
  const deadline = Date.now() + minutes(values.minutes) * 60_000;
  try {
    const network = {
      guard: createAddressGuard({ allowPrivateHosts: values['allow-private'] }),
      ca: values.ca === undefined ? undefined : readOption('--ca', values.ca),
    };
    const credentials = credentialsFor(address, values['ssh-key'], values['known-hosts']);
    const git = new GitClient({
      connection: () => ({ network, credentials }),
      isAllowed: other => repositoryIdentity(other) === repositoryIdentity(address),
      directory,
      deadline,
      limits: DEFAULT_LIMITS,
      progress: (phase, done, total) => progress.update(phase, done, UNITS[phase], total),
    });
    const push = await step(`Asking ${formatAddress(address)} for ${values.ref}`, () =>
      git.resolve(address, values.ref),
    );
    if (push === undefined) throw new Error(`${formatAddress(address)} has no ${values.ref}`);
    const zip = await step(`Fetching and zipping ${push.id} (${push.ref})`, () => git.zip(push));
    process.stderr.write(`  ${zip.entries} entries, ${zip.bytes} bytes\n`);
    const {
      commitId: commit,
      commit: { committer, message },
    } = zip;
    const facts = {
      repository: formatAddress(address),
      ref: push.ref,
      commit,
      commitTime: committer.time,
      message,
    };
    await step(`Storing ${target}/${key}`, () => store(zip.file, target, key, metadata(facts), deadline));
    process.stdout.write(`${zip.commitId}\n`);
    return 0;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Says what is done, how far it is, and how long it took. */
async function step<T>(what: string, act: () => Promise<T>): Promise<T> {
  const start = Date.now();
  process.stderr.write(`${what} …\n`);
  const result = await act().finally(() => progress.finish());
  process.stderr.write(`  done, ${((Date.now() - start) / 1000).toFixed(1)} s\n`);
  return result;
}

function credentialsFor(
  { scheme }: RepositoryAddress,
  keyFile: string,
  knownHostsFile: string,
): GitCredentials | undefined {
  if (scheme === 'ssh') {
    return {
      kind: 'ssh',
      privateKey: readOption('--ssh-key', keyFile),
      knownHosts: readOption('--known-hosts', knownHostsFile),
    };
  }
  return process.env.GIT_TOKEN ? { kind: 'https', password: process.env.GIT_TOKEN } : undefined;
}

function readOption(option: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new Error(
      `${file} cannot be read (${(error as NodeJS.ErrnoException).code}): name another file with ${option}`,
    );
  }
}

async function store(
  file: string,
  target: string,
  key: string,
  facts: Record<string, string>,
  deadline: number,
): Promise<void> {
  const bytes = statSync(file).size;
  if (target.includes('/')) {
    const destination = path.resolve(target, key);
    if (!destination.startsWith(path.resolve(target) + path.sep)) {
      throw new Error(`The key ${key} leads out of the folder ${target}`);
    }
    mkdirSync(path.dirname(destination), { recursive: true });
    copyFileSync(file, destination);
    progress.update('stored', bytes, 'bytes', bytes);
    return;
  }
  const client = new S3Client({ maxAttempts: 1 });
  let body: ReadStream | undefined;
  const told = () => progress.update('sent', body?.bytesRead ?? 0, 'bytes', bytes);
  const telling = setInterval(told, 100);
  try {
    const zips = s3ZipStore(client, target, name => (body = createReadStream(name)));
    await zips.put(file, key, {
      metadata: facts,
      onlyIfNew: false,
      signal: AbortSignal.timeout(deadline - Date.now()),
    });
    told();
  } catch (error) {
    const { name, message } = error as Error;
    throw name === 'PermanentRedirect'
      ? new Error(`${message} Set AWS_REGION to the region of the bucket ${target}.`)
      : error;
  } finally {
    clearInterval(telling);
    client.destroy();
  }
}

function minutes(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 600)) {
    throw new Error(`--minutes must be a number from 1 to 600, got "${text}"`);
  }
  return value;
}

main().then(
  code => {
    process.exitCode = code;
  },
  (error: Error) => {
    process.stderr.write(`${process.env.DEBUG ? error.stack : error.message}\n`);
    process.exitCode = 1;
  },
);
