import * as fs from 'node:fs';
import type { Deadline } from './deadline';
import { duplicateName, foldedName, linkTarget, twinsOfLinks, unsafeName } from './entry-name';
import { fileError, GitError, safeText } from './errors';
import { type Commit, parseCommit, parseTag, parseTree, type TreeEntry } from './git-objects';
import { type DiskBudget, type Limits, MAX_HELD_BYTES } from './limits';
import type { ObjectStore } from './object-store';
import type { Progress } from './receive-pack';
import { ZipWriter } from './zip-writer';

const MODES = { file: 0o100644, executable: 0o100755, symlink: 0o120777, submodule: 0o040755 } as const;
const MAX_PATH_BYTES = 4096;
const MAX_TAG_DEPTH = 10;

export interface ResolvedCommit {
  readonly id: string;
  readonly commit: Commit;
}

/** The commit that an id points to: itself, or through annotated tags. */
export async function resolveCommit(store: ObjectStore, id: string): Promise<ResolvedCommit> {
  let at = id;
  for (let depth = 0; depth <= MAX_TAG_DEPTH; depth++) {
    const index = store.find(at);
    if (index === undefined) {
      throw new GitError('CORRUPT_PACK', `the pack does not hold the object ${at} that was asked for`);
    }
    const type = store.type(index);
    if (type === 'commit') return { id: at, commit: parseCommit(await store.read(index)) };
    if (type !== 'tag') throw new GitError('UNSUPPORTED', `${id} leads to a ${type} and not to a commit`);
    at = parseTag(await store.read(index)).object;
  }
  throw new GitError('UNSUPPORTED', `${id} is a tag of tags more than ${MAX_TAG_DEPTH} deep`);
}

/** The tree of a submodule's commit, to be laid out at the submodule's path. */
export interface SubmoduleTree {
  readonly store: ObjectStore;
  readonly tree: string;
}

export interface ExtraFile {
  readonly name: string;
  readonly data: Buffer;
}

export interface ArchiveOptions {
  /** The zip file; overwritten where it exists. */
  readonly file: string;
  readonly limits: Limits;
  readonly disk: DiskBudget;
  readonly deadline: Deadline;
  readonly progress?: Progress;
  /** The tree that is zipped. @default - the commit's own */
  readonly tree?: string;
  /** Refuses names that Windows reads as something else. @default false */
  readonly windowsSafeNames?: boolean;
  /** Under the path within the zip, as a latin1 string. @default - submodules become empty directories */
  readonly submodules?: ReadonlyMap<string, SubmoduleTree>;
  /** Put after the tree, unless the repository has such a name itself. */
  readonly extraFiles?: readonly ExtraFile[];
}

export interface Archive {
  readonly bytes: number;
  readonly entries: number;
  /** Files that hold a Git LFS pointer and not the content itself. */
  readonly lfsPointers: number;
  /** Extra files that the repository's own kept out. */
  readonly skippedExtraFiles: readonly string[];
}

/**
 * Writes the commit's tree as a zip: raw blobs in tree order, with exec bits, links and the bytes of names as
 * they are.
 */
export async function writeArchive(
  store: ObjectStore,
  resolved: ResolvedCommit,
  options: ArchiveOptions,
): Promise<Archive> {
  const fd = fs.openSync(options.file, 'w', 0o600);
  try {
    const zip = new ZipWriter(fd, {
      time: resolved.commit.committer.time,
      limits: options.limits,
      disk: options.disk,
    });
    const walk = new ArchiveWalk(zip, options);
    const rootNames = await walk.tree(
      store,
      Buffer.from(options.tree ?? resolved.commit.tree, 'hex').toString('latin1'),
      Buffer.alloc(0),
    );
    walk.checkLinks();
    const skippedExtraFiles: string[] = [];
    for (const extra of options.extraFiles ?? []) {
      const name = Buffer.from(extra.name);
      if (rootNames.has(foldedName(name))) skippedExtraFiles.push(extra.name);
      else zip.add(name, MODES.file, extra.data);
    }
    const { entries, lfsPointers } = walk;
    return { bytes: zip.finish(resolved.id), entries, lfsPointers, skippedExtraFiles };
  } catch (error) {
    throw fileError(error);
  } finally {
    fs.closeSync(fd);
  }
}

class ArchiveWalk {
  public entries = 0;
  public lfsPointers = 0;
  private readonly links = new Set<string>();
  private readonly backslashed: string[] = [];
  /**
   * Where links lead, under the path of the link, for links that an entry beside them could be written
   * through.
   */
  private readonly written = new Map<string, string>();

  public constructor(
    private readonly zip: ZipWriter,
    private readonly options: ArchiveOptions,
  ) {}

  /** Adds a tree's entries under the prefix; returns its names, folded. */
  public async tree(store: ObjectStore, rawId: string, prefix: Buffer): Promise<ReadonlySet<string>> {
    const entries = await readTree(store, rawId);
    const twice = duplicateName(entries);
    if (twice !== undefined) {
      throw unsafe(Buffer.concat([prefix, twice]), 'stands twice in its directory');
    }
    await this.checkTwins(store, entries, prefix);
    for (const entry of entries) {
      await this.options.deadline.breathe();
      await this.entry(store, entry, prefix);
    }
    return new Set(prefix.length === 0 ? entries.map(({ name }) => foldedName(name)) : []);
  }

  /**
   * A link is created, then the entry beside it is written through the link where both names are one: it must
   * not lead anywhere.
   */
  private async checkTwins(store: ObjectStore, entries: readonly TreeEntry[], prefix: Buffer): Promise<void> {
    for (const { link, twin } of twinsOfLinks(entries)) {
      const path = Buffer.concat([prefix, link.name]);
      if (twin.kind === 'tree' || twin.kind === 'submodule') {
        throw unsafe(path, 'is a link beside a directory whose name some systems take for the same');
      }
      const index = store.findRaw(link.rawId);
      if (index === undefined || store.type(index) !== 'blob') throw missing('file');
      const text = (await store.read(index)).toString('utf8');
      const target = linkTarget(text, foldedPath(prefix).split('/').filter(Boolean));
      if (target === undefined) {
        throw unsafe(
          path,
          'is a link out of the zip beside a file whose name some systems take for the same',
        );
      }
      this.written.set(path.toString('latin1'), target);
    }
  }

  /**
   * A system that takes a backslash for a slash would unpack `a\b` into `a`: no link may be there. Checked at
   * the end, when all links are known.
   */
  public checkLinks(): void {
    for (const path of this.backslashed) {
      const parts = path.split('/');
      if (parts.some((_, index) => this.links.has(parts.slice(0, index + 1).join('/')))) {
        throw unsafe(Buffer.from(path), 'leads through a link where backslashes are slashes');
      }
    }
    for (const [path, target] of this.written) {
      const parts = target.split('/');
      const own = foldedPath(Buffer.from(path, 'latin1'));
      const through = parts.map((_, index) => parts.slice(0, index + 1).join('/'));
      if (through.some(part => part !== own && this.links.has(part))) {
        throw unsafe(
          Buffer.from(path, 'latin1'),
          'is a link to a link beside a file whose name some systems take for the same',
        );
      }
    }
  }

  private async entry(store: ObjectStore, entry: TreeEntry, prefix: Buffer): Promise<void> {
    const path = Buffer.concat([prefix, entry.name]);
    if (++this.entries > this.options.limits.maxEntries) {
      throw new GitError(
        'LIMIT',
        `the commit has more than ${this.options.limits.maxEntries} files and directories`,
      );
    }
    this.options.progress?.('zipped', this.entries);
    if (path.length > MAX_PATH_BYTES) {
      throw new GitError('LIMIT', `the commit holds a path longer than ${MAX_PATH_BYTES} bytes`);
    }
    const reason = unsafeName(entry.name, this.options.windowsSafeNames);
    if (reason !== undefined) throw unsafe(path, reason);
    this.remember(entry, path);
    if (entry.kind === 'tree') await this.tree(store, entry.rawId, withSlash(path));
    else if (entry.kind === 'submodule') await this.submodule(path);
    else await this.blob(store, entry, path);
  }

  private remember(entry: TreeEntry, path: Buffer): void {
    if (entry.kind === 'symlink') {
      if (entry.name.includes(0x5c)) throw unsafe(path, 'is a link with a backslash in its name');
      this.links.add(foldedPath(path));
    } else if (entry.name.includes(0x5c)) {
      this.backslashed.push(foldedPath(path));
    }
  }

  private async submodule(path: Buffer): Promise<void> {
    const fetched = this.options.submodules?.get(path.toString('latin1'));
    if (fetched === undefined) this.zip.add(withSlash(path), MODES.submodule, Buffer.alloc(0));
    else await this.tree(fetched.store, Buffer.from(fetched.tree, 'hex').toString('latin1'), withSlash(path));
  }

  private async blob(store: ObjectStore, entry: TreeEntry, path: Buffer): Promise<void> {
    const index = store.findRaw(entry.rawId);
    if (index === undefined || store.type(index) !== 'blob') throw missing('file');
    const mode = MODES[entry.kind as 'file' | 'executable' | 'symlink'];
    const size = store.size(index);
    if (size <= MAX_HELD_BYTES) {
      const data = await store.read(index);
      if (isLfsPointer(data)) this.lfsPointers++;
      this.zip.add(path, mode, data);
    } else {
      await this.zip.addStream(path, mode, size, () => store.stream(index), this.options.deadline.signal);
    }
  }
}

const LFS_POINTER = Buffer.from('version https://git-lfs.github.com/spec/v1\n');

/**
 * https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md: a pointer is a small file that begins with its
 * version.
 */
function isLfsPointer(data: Buffer): boolean {
  return data.length < 1024 && data.length > LFS_POINTER.length && data.indexOf(LFS_POINTER) === 0;
}

export async function readTree(store: ObjectStore, rawId: string): Promise<TreeEntry[]> {
  const index = store.findRaw(rawId);
  if (index === undefined || store.type(index) !== 'tree') throw missing('tree');
  return parseTree(await store.read(index));
}

function foldedPath(path: Buffer): string {
  return path
    .toString('utf8')
    .split(/[\\/]/)
    .map(part => foldedName(Buffer.from(part)))
    .join('/');
}

function withSlash(path: Buffer): Buffer {
  return Buffer.concat([path, Buffer.from('/')]);
}

function missing(what: string): GitError {
  return new GitError('CORRUPT_PACK', `the pack lacks a ${what} of the commit`);
}

function unsafe(path: Buffer, reason: string): GitError {
  return new GitError(
    'UNSAFE_NAME',
    `the commit cannot be zipped safely: "${safeText(path.toString('utf8'))}": ${reason}`,
  );
}
