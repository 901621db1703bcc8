import { GitError, safeText } from './errors';
import { DELIMITER, FLUSH, pkt, type Pkt, type PktReader } from './pkt-line';
import type { Transport } from './transport';

const AGENT = 'agent=cdk-serverless-blocks/1';
export const OBJECT_ID = /^[0-9a-f]{40}$/;
const ZERO_ID = '0'.repeat(40);
const MAX_ADVERTISED_REFS = 5_000_000;

export interface RemoteRef {
  readonly name: string;
  /** What the ref holds: a commit, or the tag object of an annotated tag. */
  readonly id: string;
  /** The commit that an annotated tag points to. */
  readonly peeled?: string;
  /** Of a symbolic ref such as HEAD: the ref it names. */
  readonly target?: string;
}

/** Which refs are asked for. */
export interface RefQuery {
  readonly prefixes: readonly string[];
  readonly wants: (name: string) => boolean;
  /** The most refs that are read from a host. */
  readonly most: number;
}

export const NO_REFS: RefQuery = { prefixes: [], wants: () => false, most: 0 };

export interface FetchOptions {
  /** Commits and trees only, where the host can leave files out. */
  readonly withoutFiles?: boolean;
  /** The ids are those of trees. */
  readonly ofTrees?: boolean;
}

/** One exchange with git-upload-pack: protocol v2, or v0 where the host has nothing newer. */
export class UploadPack {
  /** @param query the refs that will be asked for: of all that a v0 host lists, only these are kept */
  public static async open(transport: Transport, query: RefQuery): Promise<UploadPack> {
    const reader = await transport.open();
    let first = await reader.line();
    if (typeof first === 'string' && first.startsWith('# service=')) {
      if ((await reader.line()) !== 'flush') throw unexpected();
      first = await reader.line();
    }
    if (first === 'version 1') first = await reader.line();
    const opened =
      first === 'version 2'
        ? new UploadPack(transport, 2, await readCapabilities(reader), [])
        : await openVersion0(transport, reader, first, query, (...parts) => new UploadPack(...parts));
    if (transport.stateless) await reader.drain();
    const format = opened.capabilities.get('object-format') ?? 'sha1';
    if (format !== 'sha1') {
      throw new GitError(
        'UNSUPPORTED',
        `the repository uses ${safeText(format)} object ids; only sha1 repositories can be fetched`,
      );
    }
    return opened;
  }

  private constructor(
    private readonly transport: Transport,
    public readonly version: 0 | 2,
    private readonly capabilities: ReadonlyMap<string, string>,
    private readonly advertised: readonly RemoteRef[],
  ) {}

  public async lsRefs(query: RefQuery): Promise<readonly RemoteRef[]> {
    if (this.version === 0) {
      // An empty request is how a v0 client says that it wants nothing.
      if (!this.transport.stateless) await this.transport.send(FLUSH);
      return this.advertised;
    }
    const request =
      pkt('command=ls-refs\n') +
      this.common() +
      DELIMITER +
      pkt('peel\n') +
      pkt('symrefs\n') +
      query.prefixes.map(prefix => pkt(`ref-prefix ${prefix}\n`)).join('') +
      FLUSH;
    const reader = await this.transport.send(request);
    const refs = new Map<string, RemoteRef>();
    let lines = 0;
    for (let line = await textLine(reader); line !== 'flush'; line = await textLine(reader)) {
      const [id, name, ...attributes] = line.split(' ');
      if (!OBJECT_ID.test(id)) throw unexpected();
      // A host may list what is not asked for, but not endlessly.
      if (++lines > 2 * query.most + 100) throw tooManyRefs(query);
      if (!query.wants(name)) continue;
      if (refs.size >= query.most) throw tooManyRefs(query);
      const attribute = (prefix: string): string | undefined =>
        attributes.find(a => a.startsWith(prefix))?.slice(prefix.length);
      refs.set(name, { name, id, peeled: attribute('peeled:'), target: attribute('symref-target:') });
    }
    if (this.transport.stateless) await reader.drain();
    return [...refs.values()];
  }

  /** Whether packs without files can be asked for. */
  public get filters(): boolean {
    return (this.capabilities.get('fetch') ?? '').split(' ').includes('filter');
  }

  /** The bytes of a pack with everything that the commits (or tags, or trees) need, at depth 1. */
  public async *fetch(ids: readonly string[], options: FetchOptions = {}): AsyncGenerator<Buffer> {
    const reader = await this.transport.send(
      this.version === 2 ? this.fetchRequest2(ids, options) : this.fetchRequest0(ids),
    );
    if (this.version === 2) await skipToPackfile(reader);
    else await skipToNak(reader);
    yield* sideband(reader);
    if (this.transport.stateless) await reader.drain();
  }

  private fetchRequest2(ids: readonly string[], { withoutFiles, ofTrees }: FetchOptions): string {
    const shallow = (this.capabilities.get('fetch') ?? '').split(' ').includes('shallow');
    return (
      pkt('command=fetch\n') +
      this.common() +
      DELIMITER +
      pkt('no-progress\n') +
      pkt('ofs-delta\n') +
      (shallow && !ofTrees ? pkt('deepen 1\n') : '') +
      (withoutFiles && this.filters ? pkt('filter blob:none\n') : '') +
      ids.map(id => pkt(`want ${id}\n`)).join('') +
      pkt('done\n') +
      FLUSH
    );
  }

  private fetchRequest0([id, ...others]: readonly string[]): string {
    const band = ['side-band-64k', 'side-band'].find(name => this.capabilities.has(name));
    if (band === undefined) {
      throw new GitError('UNSUPPORTED', 'the host offers neither git protocol v2 nor side-band');
    }
    // Azure DevOps refuses clients that do not say multi_ack.
    const ack = ['multi_ack_detailed', 'multi_ack'].find(name => this.capabilities.has(name));
    const optional = ['ofs-delta', 'no-progress', 'shallow'].filter(name => this.capabilities.has(name));
    const chosen = [ack, band, ...optional, this.capabilities.has('agent') ? AGENT : undefined].filter(
      name => name !== undefined,
    );
    return (
      pkt(`want ${id} ${chosen.join(' ')}\n`) +
      others.map(other => pkt(`want ${other}\n`)).join('') +
      (this.capabilities.has('shallow') ? pkt('deepen 1\n') : '') +
      FLUSH +
      pkt('done\n')
    );
  }

  private common(): string {
    return (
      (this.capabilities.has('agent') ? pkt(`${AGENT}\n`) : '') +
      (this.capabilities.has('object-format') ? pkt('object-format=sha1\n') : '')
    );
  }
}

async function readCapabilities(reader: PktReader): Promise<Map<string, string>> {
  const capabilities = new Map<string, string>();
  for (let line = await textLine(reader); line !== 'flush'; line = await textLine(reader)) {
    if (capabilities.size > 1000) throw unexpected();
    const equals = line.indexOf('=');
    capabilities.set(equals < 0 ? line : line.slice(0, equals), equals < 0 ? '' : line.slice(equals + 1));
  }
  return capabilities;
}

async function openVersion0<T>(
  transport: Transport,
  reader: PktReader,
  first: string | undefined,
  query: RefQuery,
  create: (
    transport: Transport,
    version: 0,
    capabilities: ReadonlyMap<string, string>,
    refs: readonly RemoteRef[],
  ) => T,
): Promise<T> {
  const capabilities = new Map<string, string>();
  const symbolic = new Map<string, string>();
  const refs = new Map<string, RemoteRef>();
  let count = 0;
  for (let line = textOf(first); line !== 'flush'; line = await textLine(reader)) {
    if (++count > MAX_ADVERTISED_REFS) {
      throw new GitError('LIMIT', 'the host lists more refs than can be read');
    }
    const [entry, list] = line.split('\0');
    for (const capability of list?.split(' ') ?? []) {
      const [name, value = ''] = capability.split('=');
      if (name === 'symref') symbolic.set(value.split(':')[0], value.split(':')[1]);
      capabilities.set(name, value);
    }
    const id = entry.slice(0, 40);
    const name = entry.slice(41);
    if (entry.startsWith('shallow ') || id === ZERO_ID) continue;
    if (!/^[0-9a-f]{40}([0-9a-f]{24})? /.test(entry)) throw unexpected();
    const tag = name.endsWith('^{}') ? refs.get(name.slice(0, -3)) : undefined;
    if (tag !== undefined) {
      refs.set(tag.name, { ...tag, peeled: id });
    } else if (query.wants(name)) {
      if (refs.size >= query.most) throw tooManyRefs(query);
      refs.set(name, { name, id, target: symbolic.get(name) });
    }
  }
  return create(transport, 0, capabilities, [...refs.values()]);
}

/** v2: the sections before the pack (shallow-info) are skipped. */
async function skipToPackfile(reader: PktReader): Promise<void> {
  for (let line = await reader.line(); line !== 'packfile'; line = await reader.line()) {
    if (line === undefined || line === 'flush') {
      throw new GitError('PROTOCOL', 'the host answered without a pack');
    }
    checkForError(line);
  }
}

/** v0: lines of shallow commits, a flush, then NAK before the pack. */
async function skipToNak(reader: PktReader): Promise<void> {
  for (let line = await reader.line(); line !== 'NAK'; line = await reader.line()) {
    if (line === undefined) throw new GitError('PROTOCOL', 'the host answered without a pack');
    checkForError(line);
  }
}

async function* sideband(reader: PktReader): AsyncGenerator<Buffer> {
  for (let packet = await reader.next(); isData(packet); packet = await reader.next()) {
    const band = packet[0];
    if (band === 1) {
      yield packet.subarray(1);
    } else if (band === 3) {
      throw new GitError(
        'REMOTE',
        `the host failed while it packed: ${safeText(packet.subarray(1).toString('utf8'))}`,
        true,
      );
    } else if (band !== 2) {
      throw unexpected();
    }
  }
}

function isData(packet: Pkt | undefined): packet is Buffer {
  return packet !== undefined && packet !== 'flush' && packet !== 'delimiter' && packet !== 'response-end';
}

async function textLine(reader: PktReader): Promise<string> {
  return textOf(await reader.line());
}

function textOf(line: string | undefined): string {
  if (line === undefined) {
    throw new GitError('CONNECT', 'the host closed the connection in the middle of its answer');
  }
  checkForError(line);
  return line;
}

function checkForError(line: string): void {
  if (!line.startsWith('ERR ')) return;
  const said = safeText(line.slice(4));
  if (/not our ref|unadvertised object|not found.*object|no such (ref|commit)/i.test(said)) {
    throw new GitError('COMMIT_NOT_FOUND', `the host does not send this commit: ${said}`);
  }
  if (/not found|does not (appear|exist)|no such repo|access denied/i.test(said)) {
    throw new GitError('NOT_FOUND', `the host refused: ${said}`);
  }
  throw new GitError('REMOTE', `the host refused: ${said}`);
}

function tooManyRefs({ most }: RefQuery): GitError {
  return new GitError('LIMIT', `the host lists more than the ${most} refs that were to be expected`);
}

function unexpected(): GitError {
  return new GitError('PROTOCOL', 'the host sent something that the git protocol does not have here');
}
