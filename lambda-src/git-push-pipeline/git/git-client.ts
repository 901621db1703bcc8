import * as crypto from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { type ExtraFile, type ResolvedCommit, resolveCommit, writeArchive } from './commit-archive';
import type { NetworkOptions } from './connect';
import { Deadline } from './deadline';
import { GitError } from './errors';
import { directoriesOf, fingerprintOf } from './fingerprint';
import { GitRemote } from './git-remote';
import { DEFAULT_LIMITS, DiskBudget, type Limits } from './limits';
import type { ObjectStore } from './object-store';
import type { Progress } from './receive-pack';
import { fetchSubmodules } from './submodules';
import type { GitCredentials } from './transport';
import type { RemoteRef } from './upload-pack';
import { BUILD_INFO_FILE, COMMIT_ID_FILE } from '../../../src/git-push-pipeline/contract';
import { formatAddress, type RepositoryAddress } from '../../../src/git-push-pipeline/repository-address';
import { buildInfo } from '../core/domain';
import { digest } from '../core/metadata';
import type { CommitZip, Git, GitProtocol, Part, Source, Tip } from '../core/ports';

export interface GitConnection {
  readonly network: NetworkOptions;
  readonly credentials?: GitCredentials;
}

export interface GitClientOptions {
  /** How to reach a repository; asked again for each submodule. */
  readonly connection: (address: RepositoryAddress) => GitConnection | Promise<GitConnection>;
  /** The allow-list. Nothing outside it is ever connected to: no redirect, no submodule. */
  readonly isAllowed: (address: RepositoryAddress) => boolean;
  /** For scratch files and the zip. */
  readonly directory: string;
  readonly limits?: Limits;
  /** Milliseconds since 1970. */
  readonly deadline: number;
  readonly signal?: AbortSignal;
  /** For a person who is waiting at a terminal. */
  readonly progress?: Progress;
  readonly zip?: ZipOptions;
}

export interface ZipOptions {
  /** Adds `commit-id` and `build-info.json`. @default true */
  readonly addCommitFiles?: boolean;
  /** @default false, which leaves their directories empty */
  readonly fetchSubmodules?: boolean;
  /** Refuses names that Windows reads as something else. @default false */
  readonly windowsSafeNames?: boolean;
  /** Patterns of the files whose change is wanted. @default - all */
  readonly paths?: readonly string[];
  /** A pattern of the directories that get a zip of their own. @default - one zip holds the whole commit */
  readonly splitBy?: string;
}

/** Raised with every change of the zips' bytes: then every stored zip is stale. */
const ZIP_FORMAT = 2;

/** Of everything that changes a zip's bytes, except for the commit. */
export function optionsDigest({
  addCommitFiles = true,
  fetchSubmodules: submodules = false,
}: ZipOptions): string {
  return digest(JSON.stringify([ZIP_FORMAT, addCommitFiles, submodules]));
}

/** What is known of a commit before its files are needed. */
interface Held {
  readonly id: string;
  readonly store: ObjectStore;
  /** Whether the files are there too, because the host cannot leave them out. */
  readonly complete: boolean;
}

/**
 * What the work function needs of git: where refs stand, what a commit holds, and its zips. One message's
 * work; closed after it.
 */
export class GitClient implements Git {
  private readonly limits: Limits;
  private readonly disk: DiskBudget;
  private readonly deadline: Deadline;
  private held?: Held;

  public constructor(private readonly options: GitClientOptions) {
    this.limits = options.limits ?? DEFAULT_LIMITS;
    this.disk = new DiskBudget(this.limits);
    this.deadline = new Deadline(options.deadline, options.signal);
  }

  public async tip({ address, ref }: Source): Promise<Tip | undefined> {
    const found = await (await this.remote(address)).lsRef(ref);
    return found && tipOf(found);
  }

  public async protocol(address: RepositoryAddress): Promise<GitProtocol> {
    return (await this.remote(address)).protocol();
  }

  public async refs(address: RepositoryAddress): Promise<{ ref: string; tip: Tip }[]> {
    const listed = await (await this.remote(address)).branchesAndTags();
    return listed.map(found => ({ ref: found.name, tip: tipOf(found) }));
  }

  /** The first of some refs that exists, for a push made by hand. */
  public async resolve(
    address: RepositoryAddress,
    names: readonly string[],
  ): Promise<{ ref: string; tip: Tip } | undefined> {
    const listed = await (await this.remote(address)).lsRefs(names);
    for (const name of names) {
      const found = listed.find(ref => ref.name === name);
      if (found) return { ref: found.target ?? name, tip: tipOf(found) };
    }
    return undefined;
  }

  public async fingerprints(source: Source, ids: readonly string[]): Promise<string[]> {
    const held = await this.holdTrees(source, ids);
    const fingerprints: string[] = [];
    for (const id of ids) {
      const { commit } = await resolveCommit(held.store, id);
      fingerprints.push(await this.fingerprint(held.store, commit.tree));
    }
    return fingerprints;
  }

  public async directories(source: Source, ids: readonly string[]): Promise<Required<Part>[][]> {
    const { store } = await this.holdTrees(source, ids);
    const directories: Required<Part>[][] = [];
    for (const id of ids) {
      const { commit } = await resolveCommit(store, id);
      directories.push(
        await directoriesOf(store, commit.tree, this.options.zip?.splitBy ?? '', this.deadline),
      );
    }
    return directories;
  }

  public async *zips(source: Source, id: string, parts: readonly Part[]): AsyncGenerator<CommitZip> {
    const stores: ObjectStore[] = [];
    try {
      const trees = parts.flatMap(({ tree }) => (tree === undefined ? [] : [tree]));
      const { commit, files } = await this.filesOf(source, id, trees, stores);
      for (const part of parts) {
        const zip = await this.zip(source, part, commit, files, stores);
        try {
          yield zip;
        } finally {
          fs.rmSync(zip.file, { force: true });
          this.disk.give(zip.bytes);
        }
      }
    } finally {
      for (const store of stores) store.close();
    }
  }

  public close(): void {
    this.drop();
    this.deadline.dispose();
  }

  private async zip(
    source: Source,
    part: Part,
    resolved: ResolvedCommit,
    store: ObjectStore,
    stores: ObjectStore[],
  ): Promise<CommitZip> {
    const { directory, progress, isAllowed, zip: zipOptions = {} } = this.options;
    const { limits, disk, deadline } = this;
    const tree = part.tree ?? resolved.commit.tree;
    const submodules = zipOptions.fetchSubmodules
      ? await fetchSubmodules(
          store,
          tree,
          source.address,
          { isAllowed, fetch: async (address, id) => (await this.remote(address)).fetch(id) },
          stores,
        )
      : undefined;
    fs.mkdirSync(directory, { recursive: true });
    const file = path.join(directory, `${crypto.randomUUID()}.zip`);
    try {
      const archive = await writeArchive(store, resolved, {
        file,
        tree,
        limits,
        disk,
        deadline,
        progress,
        submodules,
        windowsSafeNames: zipOptions.windowsSafeNames,
        extraFiles: (zipOptions.addCommitFiles ?? true) ? commitFiles(resolved) : [],
      });
      return {
        ...archive,
        file,
        part,
        commitId: resolved.id,
        commitTime: resolved.commit.committer.time,
        message: resolved.commit.message,
        fingerprint: await this.fingerprint(store, tree),
      };
    } catch (error) {
      fs.rmSync(file, { force: true });
      throw error;
    }
  }

  /** Where the whole is wanted, its tree says it all: nothing has to be walked. */
  private async fingerprint(store: ObjectStore, tree: string): Promise<string> {
    const paths = this.options.zip?.paths;
    return paths === undefined ? digest(tree) : fingerprintOf(store, tree, paths, this.deadline);
  }

  /** Commits with their trees; kept for the next question. */
  private async holdTrees(source: Source, ids: readonly string[]): Promise<Held> {
    if (ids.length === 1 && this.held?.id === ids[0]) return this.held;
    this.drop();
    const remote = await this.remote(source.address);
    this.held = { id: ids.at(-1)!, ...(await remote.fetchAll(ids, { withoutFiles: true })) };
    return this.held;
  }

  /** The commit, and a store with the files of all of it or of some of its trees. */
  private async filesOf(
    source: Source,
    id: string,
    trees: readonly string[],
    stores: ObjectStore[],
  ): Promise<{ commit: ResolvedCommit; files: ObjectStore }> {
    if (this.held?.id === id && (this.held.complete || trees.length > 0)) {
      const { store, complete } = this.held;
      const commit = await resolveCommit(store, id);
      if (complete) return { commit, files: store };
      const files = await this.fetchTrees(source, [...new Set(trees)]);
      if (files !== undefined) {
        stores.push(files);
        return { commit, files };
      }
    }
    this.drop();
    const files = await (await this.remote(source.address)).fetch(id);
    stores.push(files);
    return { commit: await resolveCommit(files, id), files };
  }

  /** Or undefined where the host sends commits only. */
  private async fetchTrees(source: Source, trees: readonly string[]): Promise<ObjectStore | undefined> {
    try {
      return (await (await this.remote(source.address)).fetchAll(trees, { ofTrees: true })).store;
    } catch (error) {
      if (error instanceof GitError && ['COMMIT_NOT_FOUND', 'REMOTE', 'PROTOCOL'].includes(error.code)) {
        return undefined;
      }
      throw error;
    }
  }

  private drop(): void {
    this.held?.store.close();
    this.held = undefined;
  }

  private async remote(address: RepositoryAddress): Promise<GitRemote> {
    if (!this.options.isAllowed(address)) {
      throw new GitError('NOT_ALLOWED', `${formatAddress(address)} is not in the list of repositories`);
    }
    const { directory, isAllowed, connection, progress } = this.options;
    const { limits, disk, deadline } = this;
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
}

function tipOf({ id, peeled }: RemoteRef): Tip {
  return { id, commit: peeled ?? id };
}

function commitFiles({ id, commit }: ResolvedCommit): ExtraFile[] {
  const info = buildInfo({
    commit: id,
    tree: commit.tree,
    author: commit.author,
    commitTime: commit.committer.time,
  });
  return [
    { name: COMMIT_ID_FILE, data: Buffer.from(`${id}\n`) },
    { name: BUILD_INFO_FILE, data: Buffer.from(`${JSON.stringify(info, undefined, 2)}\n`) },
  ];
}
