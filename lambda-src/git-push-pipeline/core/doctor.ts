import type { Git, ZipStore } from './ports';
import type { PublishSettings } from './publish';
import { isCommitKey, isDirectoryKey, renderKey } from '../../../src/git-push-pipeline/object-key';
import { isBranchOrTag, isWantedRef, type RefFilter } from '../../../src/git-push-pipeline/refs';
import { formatAddress, isListed, parseAddress } from '../../../src/git-push-pipeline/repository-address';

/**
 * The question that the work function answers when it is invoked by hand: would a push of this ref be
 * published, and if not, why not?
 */
export interface DoctorRequest {
  readonly doctor: { readonly repository: string; readonly ref: string };
}

export interface Finding {
  readonly check: 'address' | 'repositories' | 'ref' | 'host' | 'protocol' | 'key' | 'object';
  readonly ok: boolean;
  readonly message: string;
}

export interface DoctorPorts {
  readonly git: Git;
  readonly store: ZipStore;
  readonly signal: () => AbortSignal;
  readonly settings: PublishSettings;
  readonly filter: RefFilter;
}

export function isDoctorRequest(event: object): event is DoctorRequest {
  return 'doctor' in event;
}

/**
 * Checks in the order that a push takes, with the function's own role, network and secrets; stops at the
 * first thing that fails.
 */
export async function examine({ doctor }: DoctorRequest, ports: DoctorPorts): Promise<Finding[]> {
  const findings: Finding[] = [];
  const { git, store, settings, filter, signal } = ports;
  const look = async (check: Finding['check'], act: () => string | Promise<string>): Promise<boolean> => {
    try {
      findings.push({ check, ok: true, message: await act() });
      return true;
    } catch (error) {
      findings.push({ check, ok: false, message: error instanceof Error ? error.message : String(error) });
      return false;
    }
  };
  const { repository, ref } = doctor;
  let commit = '';
  const address = () => parseAddress(String(repository));
  await (async () => {
    if (!(await look('address', () => formatAddress(address())))) return;
    const listed = () => {
      if (!isListed(address(), settings.repositories ?? [])) {
        throw new Error('no pattern of `repositories` matches the address, nothing connects to it');
      }
      return 'a pattern of `repositories` matches';
    };
    if (!(await look('repositories', listed))) return;
    const wanted = () => {
      if (!isBranchOrTag(String(ref))) throw new Error('name a ref in full, such as refs/heads/main');
      if (!isWantedRef(ref, filter)) throw new Error('`branches` or `tags` leave this ref out');
      return 'the ref is wanted';
    };
    if (!(await look('ref', wanted))) return;
    const tip = async () => {
      const found = await git.tip({ address: address(), ref });
      if (found === undefined) throw new Error('the host can be reached, and has no such ref');
      commit = found.commit;
      return `the host has the ref at ${commit}`;
    };
    if (!(await look('host', tip))) return;
    await look('protocol', async () => {
      const { version, filters } = await git.protocol(address());
      if (filters) {
        return `git protocol v${version}, and commits without their files where those are not wanted`;
      }
      const cost =
        settings.paths || settings.split
          ? ': each push is fetched whole to see whether a file that is wanted changed'
          : '';
      return `git protocol v${version}; the host cannot leave files out${cost}`;
    });
    if (isDirectoryKey(settings.keyTemplate)) {
      await look(
        'key',
        () => `${settings.keyTemplate}, where {dir} is each directory that \`splitBy\` selects`,
      );
      return;
    }
    const key = () =>
      renderKey(settings.keyTemplate, { address: address(), ref, commit }, settings.repositories);
    if (!(await look('key', key))) return;
    await look('object', async () => {
      const stored = await store.head(key(), signal());
      if (typeof stored === 'string') return 'there is no object yet, or it may not be read';
      const holds = stored.facts?.commit;
      if (holds === commit) return 'the object holds the commit';
      return isCommitKey(settings.keyTemplate) || holds === undefined
        ? 'there is an object'
        : `the object holds ${holds}: no webhook came for the newer commit yet, or only files that are not wanted changed`;
    });
  })();
  return findings;
}
