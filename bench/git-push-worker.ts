// The measured side of the benchmark: what the work function does between the message and the PutObject.
import * as dns from 'node:dns';
import * as fs from 'node:fs';
import { resolveCommit, writeArchive } from '../lambda-src/git-push-pipeline/git/commit-archive';
import { Deadline } from '../lambda-src/git-push-pipeline/git/deadline';
import { GitRemote } from '../lambda-src/git-push-pipeline/git/git-remote';
import { DEFAULT_LIMITS, DiskBudget } from '../lambda-src/git-push-pipeline/git/limits';
import type { AddressGuard } from '../lambda-src/shared/address-guard';
import { parseAddress } from '../src/git-push-pipeline/repository-address';

/** As an invocation does it: everything anew but the loaded code. */
async function fetchAndZip(
  address: string,
  commit: string,
  ca: string,
  directory: string,
  file: string,
): Promise<number[]> {
  const deadline = new Deadline(Date.now() + 300_000);
  const disk = new DiskBudget(DEFAULT_LIMITS);
  const guard = {
    lookup: (name, options, callback) => dns.lookup(name, options, callback),
    checkHost: () => undefined,
  } satisfies AddressGuard;
  const remote = new GitRemote({
    address: parseAddress(address),
    network: { guard, ca },
    directory,
    disk,
    deadline,
  });
  const marks = [process.cpuUsage()];
  const store = await remote.fetch(commit);
  marks.push(process.cpuUsage());
  try {
    await writeArchive(store, await resolveCommit(store, commit), {
      file,
      limits: DEFAULT_LIMITS,
      disk,
      deadline,
    });
  } finally {
    store.close();
    deadline.dispose();
  }
  marks.push(process.cpuUsage());
  return marks.map(({ user, system }) => Math.round((user + system) / 1000));
}

/** Does it as often as told, and says of the last time how long it took and the CPU at its start, when fetched, and when zipped. */
async function main(): Promise<void> {
  const [address, commit, caFile, directory, file, times] = process.argv.slice(2);
  const ca = fs.readFileSync(caFile, 'utf8');
  for (let left = Number(times); left > 0; left--) {
    const start = performance.now();
    const cpu = await fetchAndZip(address, commit, ca, directory, file);
    if (left === 1) process.stdout.write(JSON.stringify({ wall: (performance.now() - start) / 1000, cpu }));
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
