import { isoTime, isZeroId } from './domain';
import { PushFailure } from './failure';
import { digest, metadata } from './metadata';
import {
  type CommitZip,
  ConditionFailed,
  type Git,
  type Part,
  type Source,
  type StoredZip,
  type Tip,
  type ZipStore,
} from './ports';
import { METRIC, type PublishedDetail, type PushMessage } from '../../../src/git-push-pipeline/contract';
import { isCommitKey, renderKey } from '../../../src/git-push-pipeline/object-key';
import {
  repositoryIdentity,
  type RepositoryPattern,
} from '../../../src/git-push-pipeline/repository-address';
import type { Measurements } from '../../shared/metrics';

/*
 * A webhook says only that a ref moved. What is published is where the ref stands when its turn comes, and it
 * is published where the object does not hold it already. Two rules keep an older tip from replacing a newer
 * one, whatever was reordered, doubled, lost or done by two workers at a time
 * (test/git-push-pipeline/model.test.ts searches all of it): the tip is asked for again between reading the
 * object and replacing it, and it is replaced only in the version that was read. A third one keeps a tip from
 * being taken for stored while an older one is on its way: after replacing, the tip is asked for once more.
 */

export interface PublishPorts {
  readonly git: Git;
  readonly store: ZipStore;
  /** Publishes that an object was stored. */
  readonly tell: (detail: PublishedDetail) => Promise<void>;
  readonly log: (message: string, fields: Record<string, unknown>, metrics?: Measurements) => void;
  /** Until when S3 may be asked. */
  readonly signal: () => AbortSignal;
  readonly settings: PublishSettings;
}

export interface PublishSettings {
  readonly keyTemplate: string;
  /** As the construct lists them: a key is spelled like the permission for it. */
  readonly repositories?: readonly RepositoryPattern[];
  /** Whether each directory that `splitBy` selects has a zip of its own. */
  readonly split: boolean;
  /** Whether less than all of a commit is wanted. */
  readonly paths: boolean;
  /** Of every option that changes a zip: another value makes every object stale. */
  readonly optionsDigest: string;
}

export interface Outcome {
  /** Zips that were stored. */
  readonly published: number;
  /** Whether the ref had moved on, or was gone: what the message was about got no zip of its own. */
  readonly superseded: boolean;
  /** Directories that the push removed: their zips stay as they are. */
  readonly gone: readonly string[];
}

const MAX_ROUNDS = 4;

interface Wanted extends Part {
  readonly key: string;
  readonly stored: StoredZip | 'none' | 'hidden';
}

export async function publish(source: Source, message: PushMessage, ports: PublishPorts): Promise<Outcome> {
  let published = 0;
  let hiddenConflicts = 0;
  const round = new Round(source, message, ports, () => published++);
  for (let n = 1; n <= MAX_ROUNDS; n++) {
    try {
      const superseded = isCommitKey(ports.settings.keyTemplate) ? await round.commit() : await round.tip();
      if (superseded !== 'moved') return { published, superseded, gone: round.goneDirectories };
    } catch (error) {
      // Between asking where the ref stands and fetching that commit, the host may have thrown it away.
      if (codeOf(error) === 'COMMIT_NOT_FOUND' && round.follows) {
        if (n === 1) continue;
        throw new PushFailure('COMMIT_NOT_FOUND', (error as Error).message, true);
      }
      if (!(error instanceof ConditionFailed)) throw error;
      if (round.hidden && ++hiddenConflicts > 1) {
        throw new PushFailure(
          'CONFIGURATION',
          'S3 holds an object under the key and does not let it be read: is it encrypted with a key that the work function may not use?',
          false,
        );
      }
    }
  }
  throw new PushFailure('MOVING', `the ref moved on during each of ${MAX_ROUNDS} tries`, true);
}

/** One look at where the ref stands, and what follows from it. */
class Round {
  /** Whether the last object that was decided about could not be seen. */
  public hidden = false;
  /** As the last look found them. */
  public goneDirectories: readonly string[] = [];
  private readonly options: string;

  public constructor(
    private readonly source: Source,
    private readonly message: PushMessage,
    private readonly ports: PublishPorts,
    private readonly onPublished: () => void,
  ) {
    const { optionsDigest } = ports.settings;
    this.options = digest(repositoryIdentity(source.address), source.ref, optionsDigest);
  }

  /** Whether it is the ref that decides, and not the message. */
  public get follows(): boolean {
    return !isCommitKey(this.ports.settings.keyTemplate);
  }

  /** Brings the object of a moving key to where the ref stands. */
  public async tip(): Promise<boolean | 'moved'> {
    const { git, settings } = this.ports;
    this.hidden = false;
    const tip = await git.tip(this.source);
    if (tip === undefined) return this.gone();
    const parts = settings.split ? await this.directories(tip) : [{}];
    const stale: Wanted[] = [];
    for (const part of parts) {
      const wanted = await this.look(part, tip.commit);
      if (this.isCurrent(wanted, tip)) await this.tellIfUntold(wanted);
      else stale.push(wanted);
    }
    if (
      stale.length > 0 &&
      settings.paths &&
      !settings.split &&
      (await this.isCurrentByPaths(stale[0], tip))
    ) {
      await this.tellIfUntold(stale[0]);
      stale.length = 0;
    }
    if (stale.length === 0) return this.isSuperseded(tip);
    let asked = false;
    for await (const zip of git.zips(this.source, tip.id, stale)) {
      // Once is enough for all parts: none of them is replaced except in the version that was read before
      // this.
      if (!asked) {
        const now = await git.tip(this.source);
        if (now === undefined) return this.gone();
        if (now.id !== tip.id) return 'moved';
        asked = true;
      }
      await this.put(zip, stale.find(({ directory }) => directory === zip.part.directory)!);
    }
    // Another worker may have found the object current before it was replaced, because the ref went back in
    // the meantime.
    const last = await this.lastLook();
    if (last !== undefined && last.id !== tip.id) return 'moved';
    return this.isSuperseded(tip);
  }

  /** Where each commit has a key of its own, the pushed one is wanted, wherever the ref stands. */
  public async commit(): Promise<boolean> {
    const { git, settings } = this.ports;
    const { hint } = this.message;
    const isBranch = this.source.ref.startsWith('refs/heads/');
    const tip = hint && isBranch ? { id: hint.after, commit: hint.after } : await git.tip(this.source);
    const id = hint?.after ?? tip?.id;
    if (id === undefined) return this.gone();
    // The commit that a tag object points to is known before the fetch only while the tag still exists.
    const isKnown = tip?.id === id;
    if (isKnown && (await this.isStored(await this.look({}, tip.commit)))) return false;
    try {
      if (settings.paths && hint && (await this.isUntouched(hint.before, id))) return false;
      for await (const zip of git.zips(this.source, id, [{}])) {
        const wanted = await this.look({}, zip.commitId);
        if (!(await this.isStored(wanted))) await this.put(zip, wanted);
      }
      return false;
    } catch (error) {
      if (codeOf(error) !== 'COMMIT_NOT_FOUND') throw error;
      const now = await git.tip(this.source);
      if (now?.id === id) throw error;
      this.ports.log('the host no longer has the commit, and the ref has moved on', {});
      return true;
    }
  }

  /**
   * What the webhook says was there before serves only to find which directories are gone: nothing else knows
   * their objects.
   */
  private async directories(tip: Tip): Promise<readonly Part[]> {
    const { git } = this.ports;
    const before = this.message.hint?.before;
    this.goneDirectories = [];
    if (before !== undefined && !isZeroId(before) && before !== tip.id) {
      try {
        const [old, now] = await git.directories(this.source, [before, tip.id]);
        const kept = new Set(now.map(({ directory }) => directory));
        this.goneDirectories = old.map(({ directory }) => directory).filter(name => !kept.has(name));
        return now;
      } catch (error) {
        // What the host no longer has, or what was too much then, must not keep the tip from being published.
        this.ports.log('whether directories are gone could not be determined', {
          before,
          code: codeOf(error),
        });
      }
    }
    return (await git.directories(this.source, [tip.id]))[0];
  }

  private async isStored(wanted: Wanted): Promise<boolean> {
    if (typeof wanted.stored === 'string') return false;
    await this.tellIfUntold(wanted);
    return true;
  }

  private async look(part: Part, commit: string): Promise<Wanted> {
    const key = this.key(part, commit);
    const stored = await this.ports.store.head(key, this.ports.signal());
    if (stored === 'hidden') this.hidden = true;
    return { ...part, key, stored };
  }

  private isCurrent({ stored, tree }: Wanted, tip: Tip): boolean {
    if (typeof stored === 'string' || stored.facts?.options !== this.options) return false;
    return tree === undefined
      ? stored.facts.commit === tip.commit
      : stored.facts.fingerprint === digest(tree);
  }

  private async isCurrentByPaths({ stored }: Wanted, tip: Tip): Promise<boolean> {
    if (typeof stored === 'string' || stored.facts?.options !== this.options) return false;
    const [fingerprint] = await this.ports.git.fingerprints(this.source, [tip.id]);
    return fingerprint === stored.facts.fingerprint;
  }

  private async isUntouched(before: string, after: string): Promise<boolean> {
    try {
      if (isZeroId(before)) return false;
      const [old, fresh] = await this.ports.git.fingerprints(this.source, [before, after]);
      return old === fresh;
    } catch (error) {
      // What the host no longer has cannot be compared: better one zip too many than one too few.
      if (codeOf(error) !== 'COMMIT_NOT_FOUND') throw error;
      return false;
    }
  }

  private isSuperseded(tip: Tip): boolean {
    const after = this.message.hint?.after;
    return after !== undefined && after !== tip.id && after !== tip.commit;
  }

  private async lastLook(): Promise<Tip | undefined> {
    try {
      return await this.ports.git.tip(this.source);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new PushFailure(
        codeOf(error) ?? 'CONNECT',
        `the zip is stored, but where the ref stands since then could not be asked: ${why}`,
        true,
      );
    }
  }

  private gone(): boolean {
    this.ports.log('the ref is gone', {});
    return true;
  }

  private async put(zip: CommitZip, { key, stored }: Wanted): Promise<void> {
    const { store, tell, signal, log } = this.ports;
    const { repository, ref, deliveryId, pusher } = this.message;
    const { commitId: commit, commitTime, fingerprint, lfsPointers, message } = zip;
    const { versionId, sha256 } = await store.put(zip.file, key, {
      metadata: metadata({
        repository,
        ref,
        commit,
        commitTime,
        message,
        fingerprint,
        options: this.options,
        lfsPointers,
        deliveryId,
        pusher,
      }),
      replaces: typeof stored === 'string' ? undefined : stored.etag,
      signal: signal(),
    });
    const detail = {
      ...this.detail(zip.part, key, lfsPointers),
      commit,
      commitTime: isoTime(commitTime),
      versionId,
      sha256,
      bytes: zip.bytes,
    };
    await tell(detail);
    this.onPublished();
    const { entries, skippedExtraFiles } = zip;
    log(
      'published',
      { ...detail, entries, ...(skippedExtraFiles.length > 0 && { skippedExtraFiles }) },
      { [METRIC.pushesPublished]: 1 },
    );
  }

  /** A try that stored the object and ended before it could say so is published now. */
  private async tellIfUntold({ stored, key, directory }: Wanted): Promise<void> {
    if (typeof stored === 'string' || stored.facts?.deliveryId !== this.message.deliveryId) return;
    const { commit, commitTime, lfsPointers } = stored.facts;
    const { versionId, sha256, bytes } = stored;
    await this.ports.tell({
      ...this.detail({ directory }, key, lfsPointers),
      commit,
      commitTime,
      versionId,
      sha256,
      bytes,
    });
    this.onPublished();
    this.ports.log('published again', { key, commit }, { [METRIC.pushesPublished]: 1 });
  }

  private detail({ directory }: Part, key: string, lfsPointers: number) {
    const { repository, ref, deliveryId, pusher } = this.message;
    return {
      repository,
      ref,
      bucket: this.ports.store.bucket,
      key,
      deliveryId,
      pusher,
      ...(directory !== undefined && { directory }),
      ...(lfsPointers > 0 && { lfsPointers }),
    };
  }

  private key({ directory }: Part, commit: string): string {
    try {
      const { keyTemplate, repositories } = this.ports.settings;
      return renderKey(keyTemplate, { ...this.source, commit, directory }, repositories);
    } catch (error) {
      throw new PushFailure('OBJECT_KEY', error instanceof Error ? error.message : String(error), false);
    }
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as { code?: string }).code;
}
