// The measured side of the benchmark: what the work function does between the message and the PutObject.
import * as dns from 'node:dns';
import * as fs from 'node:fs';
import { resolveCommit, writeArchive } from '../lambda-src/git-push-pipeline/work/commit-archive';
import { Deadline } from '../lambda-src/git-push-pipeline/work/deadline';
import { GitRemote } from '../lambda-src/git-push-pipeline/work/git-remote';
import { DEFAULT_LIMITS, DiskBudget } from '../lambda-src/git-push-pipeline/work/limits';
import { parseAddress } from '../src/git-push-pipeline/repository-address';

async function main(): Promise<void> {
  const [address, commit, caFile, directory, file] = process.argv.slice(2);
  const deadline = new Deadline(Date.now() + 300_000);
  const disk = new DiskBudget(DEFAULT_LIMITS);
  const remote = new GitRemote({
    address: parseAddress(address),
    network: { guard: { lookup: (name, options, callback) => dns.lookup(name, options, callback), checkHost: () => undefined }, ca: fs.readFileSync(caFile, 'utf8') },
    directory,
    disk,
    deadline,
  });
  const marks = [process.cpuUsage()];
  const store = await remote.fetch(commit);
  marks.push(process.cpuUsage());
  try {
    await writeArchive(store, await resolveCommit(store, commit), { file, limits: DEFAULT_LIMITS, disk, deadline });
  } finally {
    store.close();
    deadline.dispose();
  }
  marks.push(process.cpuUsage());
  process.stdout.write(JSON.stringify(marks.map(({ user, system }) => Math.round((user + system) / 1000))));
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
