/**
 * What happens in a run, for whoever is watching: the page, `logs`, tests. It observes only. A record is
 * written once, and the oldest ones go when there are too many, so that a run of days needs no more memory
 * than one of minutes.
 */
export type Happening =
  | {
      readonly kind: 'start';
      readonly invocation: string;
      readonly function: string;
      readonly cause: string;
      readonly cold: boolean;
      readonly event: string;
    }
  | {
      readonly kind: 'end';
      readonly invocation: string;
      readonly function: string;
      readonly ms: number;
      readonly outcome: 'ok' | 'error';
      readonly answer: string;
    }
  | { readonly kind: 'log'; readonly source: string; readonly line: string; readonly invocation?: string }
  | {
      readonly kind: 'call';
      readonly caller: string;
      readonly action: string;
      readonly resource: string;
      readonly allowed: boolean;
      readonly invocation?: string;
      /** Where it was denied: the statement that comes closest, and the one that is missing. */
      readonly nearest?: object;
      readonly missing?: object;
    }
  | {
      readonly kind: 'request';
      readonly api: string;
      readonly method: string;
      readonly path: string;
      readonly status: number;
      readonly ms: number;
    }
  | {
      readonly kind: 'event';
      readonly bus: string;
      readonly source: string;
      readonly detailType: string;
      readonly detail: string;
      readonly matched: readonly string[];
    };

export type JournalRecord = Happening & { readonly seq: number; readonly at: number };

const MAX_RECORDS = 5_000;
const MAX_BYTES = 8 * 1024 * 1024;
const MAX_TEXT = 16 * 1024;

export class Journal {
  private readonly ring: { record: JournalRecord; bytes: number }[] = [];
  private bytes = 0;
  private last = 0;
  private readonly listeners = new Set<(record: JournalRecord) => void>();

  public constructor(private readonly now: () => number = Date.now) {}

  public get seq(): number {
    return this.last;
  }

  public record(happening: Happening): void {
    const record = { ...cut(happening), seq: ++this.last, at: this.now() } as JournalRecord;
    const bytes = JSON.stringify(record).length;
    this.ring.push({ record, bytes });
    this.bytes += bytes;
    while (this.ring.length > MAX_RECORDS || this.bytes > MAX_BYTES) this.bytes -= this.ring.shift()!.bytes;
    for (const listener of this.listeners) listener(record);
  }

  /** What came after that number; undefined where some of it is no longer kept. */
  public after(seq: number): JournalRecord[] | undefined {
    const first = this.ring[0]?.record.seq ?? this.last + 1;
    if (seq + 1 < first || seq > this.last) return undefined;
    return this.ring.map(({ record }) => record).filter(record => record.seq > seq);
  }

  /** All that is kept. */
  public get records(): JournalRecord[] {
    return this.ring.map(({ record }) => record);
  }

  /** @returns ends it */
  public subscribe(listener: (record: JournalRecord) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }
}

function cut(happening: Happening): Happening {
  return Object.fromEntries(
    Object.entries(happening).map(([name, value]) => [
      name,
      typeof value === 'string' && value.length > MAX_TEXT ? `${value.slice(0, MAX_TEXT)}…` : value,
    ]),
  ) as Happening;
}
