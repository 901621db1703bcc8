/**
 * `npm run push-code`: what the work function does with a push, from the command line and with nothing of AWS
 * but a bucket.
 */
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
import { HeadObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { ProgressLine } from './example/push-progress';
import { s3ZipStore } from '../lambda-src/git-push-pipeline/adapters/s3-zip-store';
import { metadata } from '../lambda-src/git-push-pipeline/core/metadata';
import type { CommitZip } from '../lambda-src/git-push-pipeline/core/ports';
import { parseRevision } from '../lambda-src/git-push-pipeline/core/revision';
import { GitClient } from '../lambda-src/git-push-pipeline/git/git-client';
import { DEFAULT_LIMITS } from '../lambda-src/git-push-pipeline/git/limits';
import type { GitCredentials } from '../lambda-src/git-push-pipeline/git/transport';
import { createAddressGuard } from '../lambda-src/shared/address-guard';
import type { S3 } from '../lambda-src/shared/aws/s3';
import {
  formatAddress,
  parseAddress,
  type RepositoryAddress,
  repositoryIdentity,
} from '../src/git-push-pipeline/repository-address';

const USAGE = `Fetches a repository at a commit and stores the zip, as the work function of GitPushPipeline does.

  npm run push-code -- <repository> <bucket-or-folder> <key>

  <repository>        https://host/path, ssh://user@host/path or user@host:path
  <bucket-or-folder>  a folder is named with a slash in it: ./zips
  --ref REVISION      a branch, a tag, a ref in full, HEAD, or a commit's id in 40 digits (HEAD)
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
  let git: GitClient | undefined;
  try {
    const network = {
      guard: createAddressGuard({ allowPrivateHosts: values['allow-private'] }),
      ca: values.ca === undefined ? undefined : readOption('--ca', values.ca),
    };
    const credentials = credentialsFor(address, values['ssh-key'], values['known-hosts']);
    git = new GitClient({
      connection: () => ({ network, credentials }),
      isAllowed: other => repositoryIdentity(other) === repositoryIdentity(address),
      directory,
      deadline,
      limits: DEFAULT_LIMITS,
      progress: (phase, done, total) => progress.update(phase, done, UNITS[phase], total),
    });
    const { ref, id } = await find(git, address, values.ref);
    const where = ref === '' ? '' : ` (${ref})`;
    const zips = git.zips({ address, ref }, id, [{}]);
    const { value: zip } = await step(`Fetching and zipping ${id}${where}`, () => zips.next());
    if (zip === undefined) throw new Error(`${id} could not be zipped`);
    const { commitId: commit, commitTime, message, lfsPointers } = zip as CommitZip;
    process.stderr.write(`  ${zip.entries} entries, ${zip.bytes} bytes\n`);
    if (lfsPointers > 0) {
      process.stderr.write(`  ${lfsPointers} files are pointers of Git LFS: their content is not fetched\n`);
    }
    const facts = { repository: formatAddress(address), ref, commit, commitTime, message, lfsPointers };
    await step(`Storing ${target}/${key}`, () => store(zip.file, target, key, metadata(facts), deadline));
    await zips.return(undefined);
    process.stdout.write(`${commit}\n`);
    return 0;
  } finally {
    git?.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The commit that was named; its ref is empty where it was named by its id. */
async function find(
  git: GitClient,
  address: RepositoryAddress,
  text: string,
): Promise<{ ref: string; id: string }> {
  const revision = parseRevision(text);
  if (revision.kind === 'id') return { ref: '', id: revision.id };
  const found = await step(`Asking ${formatAddress(address)} for ${text}`, () =>
    git.resolve(address, revision.names),
  );
  if (found === undefined) {
    const hint = /^[0-9a-f]{4,39}$/.test(text) ? ': name a commit by all 40 digits of its id' : '';
    throw new Error(`${formatAddress(address)} has no ${text}${hint}`);
  }
  return { ref: found.ref, id: found.tip.id };
}

/** Says what is being done, how far it is, and how long it took. */
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
    const zips = s3ZipStore(storeOf(client), target, name => (body = createReadStream(name)));
    const signal = AbortSignal.timeout(deadline - Date.now());
    const there = await zips.head(key, signal);
    const replaces = typeof there === 'string' ? undefined : there.etag;
    await zips.put(file, key, { metadata: facts, replaces, signal });
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

/** With the SDK's own credentials: a developer's machine has them in a profile, not in the environment. */
function storeOf(client: S3Client): S3 {
  return {
    async headObject(Bucket, Key, { signal } = {}) {
      const found = await client.send(new HeadObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }), {
        abortSignal: signal,
      });
      return {
        etag: found.ETag ?? '',
        versionId: found.VersionId,
        bytes: found.ContentLength ?? 0,
        sha256: found.ChecksumSHA256 === undefined ? undefined : Buffer.from(found.ChecksumSHA256, 'base64'),
        metadata: found.Metadata ?? {},
      };
    },
    async putObject(object, { signal } = {}) {
      const { VersionId: versionId } = await client.send(
        new PutObjectCommand({
          Bucket: object.bucket,
          Key: object.key,
          Body: object.open(),
          ContentLength: object.bytes,
          ContentType: object.contentType,
          ChecksumSHA256: object.sha256.toString('base64'),
          Metadata: object.metadata,
          ...(object.replaces === undefined ? { IfNoneMatch: '*' } : { IfMatch: object.replaces }),
        }),
        { abortSignal: signal },
      );
      return { versionId };
    },
  };
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
