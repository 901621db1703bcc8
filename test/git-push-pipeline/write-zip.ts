// Run as a process of its own by zip-writer.test.ts, in another time zone.
import * as fs from 'node:fs';
import { DEFAULT_LIMITS, DiskBudget } from '../../lambda-src/git-push-pipeline/git/limits';
import { ZipWriter } from '../../lambda-src/git-push-pipeline/git/zip-writer';

const fd = fs.openSync(process.argv[2], 'w');
const zip = new ZipWriter(fd, {
  time: 1_709_235_124,
  limits: DEFAULT_LIMITS,
  disk: new DiskBudget(DEFAULT_LIMITS),
});
zip.add(Buffer.from('dir/file'), 0o100644, Buffer.from('content'));
zip.finish('');
fs.closeSync(fd);
