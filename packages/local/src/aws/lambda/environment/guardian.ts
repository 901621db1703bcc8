/**
 * Ends frozen processes when this one is gone without having done so: a stopped process does not notice that
 * its pipes have closed. A shell waits for the end of its input, and knows meanwhile which processes there
 * are.
 */
import { type ChildProcess, spawn } from 'node:child_process';

const SCRIPT = `
pids=" "
while read -r change pid; do
  case $change in
    add) pids="$pids$pid " ;;
    remove) pids="\${pids%% $pid *} \${pids#* $pid }" ;;
  esac
done
for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
`;

export class Guardian {
  private shell?: ChildProcess;

  public add(pid: number | undefined): void {
    this.tell('add', pid);
  }

  public remove(pid: number | undefined): void {
    if (this.shell) this.tell('remove', pid);
  }

  public async stop(): Promise<void> {
    const { shell } = this;
    if (!shell) return;
    this.shell = undefined;
    const exited = new Promise(resolve => shell.once('exit', resolve));
    shell.stdin!.end();
    await exited;
  }

  private tell(change: string, pid: number | undefined): void {
    if (pid === undefined) return;
    if (!this.shell) {
      this.shell = spawn('/bin/sh', ['-c', SCRIPT], { stdio: ['pipe', 'ignore', 'ignore'], detached: true }); // not to be hit by Ctrl-C
      this.shell.stdin!.on('error', () => undefined); // it may be gone when everything ends
    }
    this.shell.stdin!.write(`${change} ${pid}\n`);
  }
}
