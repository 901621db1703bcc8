/**
 * Everything that a run puts into the system's folder for temporary files is in one folder, which is
 * removed when the run ends: the CDK makes one for each `new App()`, thousands in all, and deletes none.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';

/** Before the workers start, which take their environment from this process. */
export default function setup(): () => void {
  const folder = mkdtempSync(path.join(tmpdir(), 'blocks-'));
  const before = process.env.TMPDIR;
  process.env.TMPDIR = folder;
  return () => {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
    rmSync(folder, { recursive: true, force: true });
  };
}
