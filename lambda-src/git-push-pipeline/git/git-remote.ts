import * as fs from 'node:fs';
import type { NetworkOptions } from './connect';
import type { Deadline } from './deadline';
import { GitError } from './errors';
import { HttpsTransport } from './https-transport';
import { DEFAULT_LIMITS, DiskBudget, type Limits } from './limits';
import { ObjectStore } from './object-store';
import { type Progress, receivePack } from './receive-pack';
import { ScratchFile } from './scratch-file';
import type { GitCredentials, Transport } from './transport';
import {
  type FetchOptions,
  NO_REFS,
  OBJECT_ID,
  type RefQuery,
  type RemoteRef,
  UploadPack,
} from './upload-pack';
import { isBranchOrTag } from '../../../src/git-push-pipeline/refs';
import { formatAddress, type RepositoryAddress } from '../../../src/git-push-pipeline/repository-address';

/** Of branches and tags together. */
const MAX_LISTED_REFS = 50_000;

export interface GitRemoteOptions {
  readonly address: RepositoryAddress;
  readonly network: NetworkOptions;
  readonly credentials?: GitCredentials;
  /** Whether an HTTPS redirect may lead to this address. @default - none may */
  readonly redirectAllowed?: (address: RepositoryAddress) => boolean;
  /** Asking for 0 sticks to the old protocol. @default 2, and what the host has instead */
  readonly protocolVersion?: 0 | 2;
  /** Where packs are kept while they are used. */
  readonly directory: string;
  readonly limits?: Limits;
  readonly disk?: DiskBudget;
  readonly deadline: Deadline;
  readonly progress?: Progress;
}

/** A repository on a git host. Each call opens its own connection and closes it. */
export class GitRemote {
  public readonly address: RepositoryAddress;

  public constructor(private readonly options: GitRemoteOptions) {
    this.address = options.address;
  }

  /**
   * What the host now says about one ref (`refs/heads/main`, `HEAD`), or undefined where it has no such ref.
   */
  public async lsRef(name: string): Promise<RemoteRef | undefined> {
    return (await this.lsRefs([name])).find(ref => ref.name === name);
  }

  /** What the host says about several refs, of which it may have none. */
  public async lsRefs(names: readonly string[]): Promise<readonly RemoteRef[]> {
    return this.list({ prefixes: names, wants: name => names.includes(name), most: names.length });
  }

  /** All branches and tags. */
  public async branchesAndTags(): Promise<readonly RemoteRef[]> {
    return this.list({
      prefixes: ['refs/heads/', 'refs/tags/'],
      wants: name => isBranchOrTag(name),
      most: MAX_LISTED_REFS,
    });
  }

  /** Which protocol the host speaks. */
  public protocol(): Promise<{ readonly version: 0 | 2; readonly filters: boolean }> {
    return this.exchange(NO_REFS, async ({ version, filters }) => ({ version, filters }));
  }

  /**
   * Everything that one commit needs (or the commit that a tag object points to), and nothing of its history.
   */
  public async fetch(id: string): Promise<ObjectStore> {
    return (await this.fetchAll([id])).store;
  }

  /** The same for several. `complete` says whether files are there even where they were not asked for. */
  public async fetchAll(
    ids: readonly string[],
    options: FetchOptions = {},
  ): Promise<{ readonly store: ObjectStore; readonly complete: boolean }> {
    for (const id of ids) this.checkId(id);
    const { directory, deadline, limits = DEFAULT_LIMITS, disk = new DiskBudget(limits) } = this.options;
    fs.mkdirSync(directory, { recursive: true });
    const file = new ScratchFile(directory, disk);
    let complete = true;
    try {
      await this.exchange(NO_REFS, uploadPack => {
        complete = !(options.withoutFiles && uploadPack.filters);
        return receivePack(uploadPack.fetch(ids, options), file, limits, this.options.progress);
      });
    } catch (error) {
      file.close();
      throw error;
    }
    const store = await ObjectStore.index(file, directory, limits, disk, deadline, this.options.progress);
    return { store, complete };
  }

  private checkId(id: string): void {
    if (OBJECT_ID.test(id)) return;
    const why = /^[0-9a-f]{64}$/.test(id)
      ? 'is of a sha256 repository; only sha1 repositories can be fetched'
      : 'is no commit id of 40 hex digits';
    throw new GitError('UNSUPPORTED', `the commit asked of ${formatAddress(this.address)} ${why}`);
  }

  private list(query: RefQuery): Promise<readonly RemoteRef[]> {
    return this.exchange(query, uploadPack => uploadPack.lsRefs(query));
  }

  private async exchange<T>(query: RefQuery, act: (uploadPack: UploadPack) => Promise<T>): Promise<T> {
    const { deadline } = this.options;
    deadline.check();
    const transport = await this.transport();
    try {
      return await act(await UploadPack.open(transport, query));
    } catch (error) {
      // Whatever an aborted connection complained of, the abort is what happened.
      deadline.check();
      throw error;
    } finally {
      transport.close();
    }
  }

  private async transport(): Promise<Transport> {
    const { address, network, credentials, redirectAllowed, protocolVersion = 2, deadline } = this.options;
    if (address.scheme === 'https') {
      if (credentials?.kind === 'ssh') {
        throw new GitError(
          'CONFIGURATION',
          `${formatAddress(address)} needs a token, but an SSH key is configured`,
        );
      }
      return new HttpsTransport(
        address,
        { network, credentials, redirectAllowed, protocolVersion },
        deadline.signal,
      );
    }
    if (credentials?.kind !== 'ssh') {
      throw new GitError('CONFIGURATION', `${formatAddress(address)} needs an SSH key`);
    }
    // Loaded only when it is used: it is most of the bundle.
    const { SshTransport } = await import('./ssh-transport.js');
    return new SshTransport(address, { network, credentials, protocolVersion }, deadline.signal);
  }
}
