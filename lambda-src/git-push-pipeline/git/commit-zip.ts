import * as crypto from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { type ExtraFile, type ResolvedCommit, resolveCommit, writeArchive } from './commit-archive';
import type { NetworkOptions } from './connect';
import { Deadline } from './deadline';
import { GitError } from './errors';
import type { Commit } from './git-objects';
import { GitRemote } from './git-remote';
import { DEFAULT_LIMITS, DiskBudget, type Limits } from './limits';
import type { ObjectStore } from './object-store';
import type { Progress } from './receive-pack';
import { fetchSubmodules } from './submodules';
import type { GitCredentials } from './transport';
import { BUILD_INFO_FILE, COMMIT_ID_FILE } from '../../../src/git-push-pipeline/contract';
import { formatAddress, type RepositoryAddress } from '../../../src/git-push-pipeline/repository-address';
import { buildInfo } from '../core/domain';

export interface GitConnection {
  readonly network: NetworkOptions;
  readonly credentials?: GitCredentials;
}

export interface GitClientOptions {
  /** How to reach a repository; asked again for each submodule. */
  readonly connection: (address: RepositoryAddress) => GitConnection | Promise<GitConnection>;
  /** The allow-list. Nothing outside of it is ever connected to: no redirect, no submodule. */
  readonly isAllowed: (address: RepositoryAddress) => boolean;
  /** For scratch files and the zip. */
  readonly directory: string;
  readonly limits?: Limits;
  /** Milliseconds since 1970. */
  readonly deadline: number;
  readonly signal?: AbortSignal;
  /** For who waits for it at a terminal. */
  readonly progress?: Progress;
}

export interface PushedCommit {
  readonly address: RepositoryAddress;
  readonly ref: string;
  /** A commit or an annotated tag. */
  readonly id: string;
}

export interface ZipOptions {
  /** Adds `commit-id` and `build-info.json`. @default true */
  readonly addCommitFiles?: boolean;
  /** @default false, which leaves their directories empty */
  readonly fetchSubmodules?: boolean;
}

export interface CommitZip {
  readonly file: string;
  readonly bytes: number;
  readonly entries: number;
  /** The commit's own id, where a tag was pushed. */
  readonly commitId: string;
  readonly commit: Commit;
  readonly skippedExtraFiles: readonly string[];
}

export type RefState = 'current' | 'superseded' | 'deleted';

/** What the work function needs of git: fetches and zips pushed commits, and asks where refs stand. */
export class GitClient {
  private readonly limits: Limits;

  public constructor(private readonly options: GitClientOptions) {
    this.limits = options.limits ?? DEFAULT_LIMITS;
  }

  /** Whether the ref still is where the push put it. */
  public async refState(push: PushedCommit): Promise<RefState> {
    return this.withDeadline(async deadline => {
      const ref = await (await this.remote(push.address, deadline)).lsRef(push.ref);
      if (ref === undefined) return 'deleted';
      return ref.id === push.id || ref.peeled === push.id ? 'current' : 'superseded';
    });
  }

  /** Where a ref (or HEAD) stands, for a push made by hand. `ref` is the branch that HEAD names. */
  public async resolve(address: RepositoryAddress, name: string): Promise<PushedCommit | undefined> {
    return this.withDeadline(async deadline => {
      const ref = await (await this.remote(address, deadline)).lsRef(name);
      return ref === undefined ? undefined : { address, ref: ref.target ?? name, id: ref.id };
    });
  }

  /**
   * Fetches the very commit and writes its zip. The caller removes the file. Where the host no longer gives the commit,
   * COMMIT_NOT_FOUND is thrown: `refState` then tells whether the push was overtaken.
   */
  public async zip(push: PushedCommit, options: ZipOptions = {}): Promise<CommitZip> {
    return this.withDeadline(async deadline => {
      const disk = new DiskBudget(this.limits);
      const stores: ObjectStore[] = [];
      const file = path.join(this.options.directory, `${crypto.randomUUID()}.zip`);
      try {
        const store = await (await this.remote(push.address, deadline, disk)).fetch(push.id);
        stores.push(store);
        const resolved = await resolveCommit(store, push.id);
        const submodules = options.fetchSubmodules
          ? await fetchSubmodules(
              store,
              resolved.commit.tree,
              push.address,
              {
                isAllowed: this.options.isAllowed,
                fetch: async (address, id) => (await this.remote(address, deadline, disk)).fetch(id),
              },
              stores,
            )
          : undefined;
        const extraFiles = (options.addCommitFiles ?? true) ? commitFiles(push, resolved) : [];
        const {
          limits,
          options: { progress },
        } = this;
        const archive = await writeArchive(store, resolved, {
          file,
          limits,
          disk,
          deadline,
          progress,
          submodules,
          extraFiles,
        });
        return { file, ...archive, commitId: resolved.id, commit: resolved.commit };
      } catch (error) {
        fs.rmSync(file, { force: true });
        throw error;
      } finally {
        for (const store of stores) store.close();
      }
    });
  }

  private async remote(
    address: RepositoryAddress,
    deadline: Deadline,
    disk?: DiskBudget,
  ): Promise<GitRemote> {
    if (!this.options.isAllowed(address)) {
      throw new GitError('NOT_ALLOWED', `${formatAddress(address)} is not in the list of repositories`);
    }
    const { directory, isAllowed, connection, progress } = this.options;
    const { limits } = this;
    return new GitRemote({
      address,
      ...(await connection(address)),
      redirectAllowed: isAllowed,
      directory,
      limits,
      disk,
      deadline,
      progress,
    });
  }

  private async withDeadline<T>(act: (deadline: Deadline) => Promise<T>): Promise<T> {
    const deadline = new Deadline(this.options.deadline, this.options.signal);
    try {
      return await act(deadline);
    } finally {
      deadline.dispose();
    }
  }
}

function commitFiles(push: PushedCommit, { id, commit }: ResolvedCommit): ExtraFile[] {
  const address = formatAddress(push.address);
  const info = buildInfo({
    address,
    ref: push.ref,
    commit: id,
    author: commit.author,
    commitTime: commit.committer.time,
  });
  return [
    { name: COMMIT_ID_FILE, data: Buffer.from(`${id}\n`) },
    { name: BUILD_INFO_FILE, data: Buffer.from(`${JSON.stringify(info, undefined, 2)}\n`) },
  ];
}

/** For the checksum that S3 is given. */
export async function sha256OfFile(file: string): Promise<Buffer> {
  const hash = crypto.createHash('sha256');
  for await (const piece of fs.createReadStream(file, { highWaterMark: 1024 * 1024 })) {
    hash.update(piece as Buffer);
  }
  return hash.digest();
}
