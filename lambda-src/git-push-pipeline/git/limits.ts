import { GitError } from './errors';

const MIB = 1024 * 1024;

export interface Limits {
  /** Of the pack as the host sends it. */
  readonly maxPackBytes: number;
  readonly maxObjects: number;
  /** Of one file, unpacked. */
  readonly maxObjectBytes: number;
  /** Files, links and submodules in the zip. */
  readonly maxEntries: number;
  readonly maxZipBytes: number;
  /** Everything that is on disk at one time: packs, what is unpacked beside them, and the zip. */
  readonly maxDiskBytes: number;
}

/** Fit for 2 GiB of ephemeral storage. */
export const DEFAULT_LIMITS: Limits = {
  maxPackBytes: 1024 * MIB,
  maxObjects: 1_000_000,
  maxObjectBytes: 1024 * MIB,
  maxEntries: 500_000,
  maxZipBytes: 1400 * MIB,
  maxDiskBytes: 1900 * MIB,
};

/** The limits that fit a function's ephemeral storage. */
export function limitsFor(ephemeralStorageMib: number): Limits {
  const share = (part: number) => Math.floor(ephemeralStorageMib * part) * MIB;
  return {
    ...DEFAULT_LIMITS,
    maxPackBytes: share(0.5),
    maxObjectBytes: share(0.5),
    maxZipBytes: share(0.68),
    maxDiskBytes: share(0.93),
  };
}

/** Objects up to this size are held in memory whole, one at a time; larger ones are streamed. */
export const MAX_HELD_BYTES = 32 * MIB;

/** Counts the bytes on disk before they are written, so that the limit is met before the disk is full. */
export class DiskBudget {
  private used = 0;

  public constructor(private readonly limits: Limits) {}

  public take(bytes: number): void {
    this.used += bytes;
    if (this.used > this.limits.maxDiskBytes) {
      throw new GitError(
        'LIMIT',
        `pack and zip together need more than ${inMib(this.limits.maxDiskBytes)} of disk: raise ephemeralStorageSize`,
      );
    }
  }

  public give(bytes: number): void {
    this.used -= bytes;
  }
}

export function inMib(bytes: number): string {
  return `${Math.round((bytes / MIB) * 10) / 10} MiB`;
}
