import * as childProcess from 'node:child_process';
import * as dns from 'node:dns';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { git } from '../../demo/hosts/git/git-server';
import {
  writeArchive,
  resolveCommit,
  type ArchiveOptions,
} from '../../lambda-src/git-push-pipeline/git/commit-archive';
import { Deadline } from '../../lambda-src/git-push-pipeline/git/deadline';
import { GitRemote, type GitRemoteOptions } from '../../lambda-src/git-push-pipeline/git/git-remote';
import { DEFAULT_LIMITS, DiskBudget, type Limits } from '../../lambda-src/git-push-pipeline/git/limits';
import type { ObjectStore } from '../../lambda-src/git-push-pipeline/git/object-store';
import type { AddressGuard } from '../../lambda-src/shared/address-guard';
import { parseAddress } from '../../src/git-push-pipeline/repository-address';

/** Every name is on loopback. */
export const loopbackGuard: AddressGuard = {
  lookup: (_hostname, options, callback) => dns.lookup('127.0.0.1', options, callback),
  checkHost: () => undefined,
};

export type RemoteOptions = Partial<Omit<GitRemoteOptions, 'network' | 'address'>> & {
  network?: Partial<GitRemoteOptions['network']>;
};

/** Runs `act` with a remote and ends its deadline after it. */
export async function withRemote<T>(
  address: string,
  options: RemoteOptions & { directory: string },
  act: (remote: GitRemote, deadline: Deadline) => Promise<T>,
): Promise<T> {
  const deadline = options.deadline ?? new Deadline(Date.now() + 120_000);
  try {
    const { network, ...rest } = options;
    return await act(
      new GitRemote({
        ...rest,
        address: parseAddress(address),
        network: { guard: loopbackGuard, ...network },
        deadline,
      }),
      deadline,
    );
  } finally {
    deadline.dispose();
  }
}

/** Fetches a commit and writes its zip; returns the zip's path. */
export async function fetchToZip(
  address: string,
  id: string,
  options: RemoteOptions & { directory: string },
  archive: Partial<ArchiveOptions> = {},
): Promise<{ file: string; commit: string; entries: number; skippedExtraFiles: readonly string[] }> {
  return withRemote(address, options, async (remote, deadline) => {
    const store = await remote.fetch(id);
    try {
      return await zipStore(store, id, options.directory, deadline, options.limits, archive);
    } finally {
      store.close();
    }
  });
}

let zips = 0;

export async function zipStore(
  store: ObjectStore,
  id: string,
  directory: string,
  deadline: Deadline,
  limits: Limits = DEFAULT_LIMITS,
  archive: Partial<ArchiveOptions> = {},
): Promise<{ file: string; commit: string; entries: number; skippedExtraFiles: readonly string[] }> {
  const file = path.join(directory, `${zips++}.zip`);
  const resolved = await resolveCommit(store, id);
  const { entries, skippedExtraFiles } = await writeArchive(store, resolved, {
    file,
    limits,
    disk: new DiskBudget(limits),
    deadline,
    ...archive,
  });
  return { file, commit: resolved.id, entries, skippedExtraFiles };
}

export interface ListedEntry {
  readonly name: string;
  readonly mode: string;
  readonly id: string;
}

/** What git says is in a commit: names as latin1, submodules with a closing slash and no id. */
export function lsTree(repository: string, commit: string): ListedEntry[] {
  return git(repository, ['ls-tree', '-r', '-z', commit])
    .toString('latin1')
    .split('\0')
    .filter(line => line !== '')
    .map(line => {
      const [, mode, , id, name] = /^(\d+) (\w+) ([0-9a-f]+)\t([\s\S]*)$/.exec(line) ?? [];
      return mode === '160000' ? { name: `${name}/`, mode: '040755', id: '' } : { name, mode, id };
    });
}

const LIST_ZIP = `
import hashlib, json, sys, zipfile
result = []
with zipfile.ZipFile(sys.argv[1]) as z:
    for info in z.infolist():
        data = z.read(info)
        mode = info.external_attr >> 16
        name = info.orig_filename.encode('utf-8' if info.flag_bits & 0x800 else 'cp437').decode('latin1')
        blob = '' if name.endswith('/') else hashlib.sha1(b'blob %d\\0' % len(data) + data).hexdigest()
        result.append({'name': name, 'mode': '120000' if mode == 0o120777 else '%06o' % mode, 'id': blob, 'time': list(info.date_time)})
    print(json.dumps({'entries': result, 'comment': z.comment.decode()}))
`;

/** What Python's zipfile reads in a zip, every CRC checked, with the git id of each entry's bytes. */
export function listZip(file: string): { entries: ListedEntry[]; times: number[][]; comment: string } {
  const output = childProcess.execFileSync('python3', ['-c', LIST_ZIP, file], {
    maxBuffer: 1024 ** 3,
    encoding: 'utf8',
  });
  const { entries, comment } = JSON.parse(output) as {
    entries: (ListedEntry & { time: number[] })[];
    comment: string;
  };
  return {
    entries: entries.map(({ name, mode, id }) => ({ name, mode, id })),
    times: entries.map(({ time }) => time),
    comment,
  };
}

/** Unpacks with Info-ZIP and lists what is on disk then. */
export function unzip(file: string, into: string, env: NodeJS.ProcessEnv = {}): void {
  fs.mkdirSync(into, { recursive: true });
  childProcess.execFileSync('unzip', ['-q', '-o', file, '-d', into], {
    env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', ...env },
    stdio: 'pipe',
  });
}
