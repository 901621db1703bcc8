/** Shows progress: on a terminal in one line that is redrawn, elsewhere in a line now and then. */
export interface Output {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

const REDRAW_MS = 100;
const PLAIN_MS = 5_000;
const MIB = 1024 * 1024;

export class ProgressLine {
  private what = '';
  private text = '';
  private writtenAt: number;

  public constructor(
    private readonly out: Output,
    private readonly now: () => number = Date.now,
  ) {
    this.writtenAt = now();
  }

  /** @param total where it is known: then percentages are shown too */
  public update(what: string, done: number, unit: 'bytes' | 'objects' | 'entries', total?: number): void {
    const amount = unit === 'bytes' ? mebibytes(done) : `${done} ${unit}`;
    // Rounded down: 100 % means the end, and nothing before it.
    const text =
      total === undefined
        ? `${what} ${amount}`
        : `${what} ${amount} of ${unit === 'bytes' ? mebibytes(total) : total}, ${percent(done, total)} %`;
    if (what !== this.what) this.finish();
    this.what = what;
    this.text = text;
    if (this.now() - this.writtenAt >= (this.out.isTTY ? REDRAW_MS : PLAIN_MS)) this.write();
  }

  /** The last state stays in a line of its own. */
  public finish(): void {
    if (this.text === '') return;
    this.write();
    if (this.out.isTTY) this.out.write('\n');
    this.text = '';
  }

  private write(): void {
    this.writtenAt = this.now();
    this.out.write(this.out.isTTY ? `\r\x1b[K  ${this.text}` : `  ${this.text}\n`);
  }
}

function mebibytes(bytes: number): string {
  return bytes < MIB / 10 ? `${bytes} bytes` : `${(bytes / MIB).toFixed(1)} MiB`;
}

function percent(done: number, total: number): number {
  return total === 0 ? 100 : Math.floor((done / total) * 100);
}
