/**
 * Buckets, and the versions of their objects: what S3 keeps, without its wire format. Contents are in files.
 */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { ServiceError } from '../aws-json';
import type { Algorithm } from './checksums';

export interface StoredChecksum {
  readonly algorithm: Algorithm;
  readonly value: string;
  readonly type: 'FULL_OBJECT' | 'COMPOSITE';
}

export interface Content {
  readonly file: string;
  readonly size: number;
  readonly etag: string;
  readonly checksum: StoredChecksum;
  /** What a later GET answers with: content-type, x-amz-meta-… */
  readonly headers: Readonly<Record<string, string>>;
}

export interface Version {
  /** `null`, as S3 calls it, where the bucket keeps no versions. */
  readonly id: string;
  readonly lastModified: number;
  /** A delete marker has none. */
  readonly content?: Content;
}

/** `If-Match` and `If-None-Match` of a write. */
export interface WriteConditions {
  readonly ifMatch?: string;
  readonly ifNoneMatch?: string;
}

export class Bucket {
  /** Newest first. */
  private readonly versions = new Map<string, Version[]>();

  public constructor(
    public readonly name: string,
    public readonly versioned: boolean,
    public readonly created: number,
  ) {}

  public get isEmpty(): boolean {
    return this.versions.size === 0;
  }

  /** All keys in the order in which S3 lists them, that of their UTF-8 bytes. */
  public keys(prefix: string): string[] {
    return [...this.versions.keys()]
      .filter(key => key.startsWith(prefix))
      .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  }

  public versionsOf(key: string): readonly Version[] {
    return this.versions.get(key) ?? [];
  }

  /** Throws as S3 does where there is no such object, or where its newest version is a delete marker. */
  public get(key: string, versionId?: string): Version & { content: Content } {
    const versions = this.versionsOf(key);
    const found = versionId === undefined ? versions[0] : versions.find(({ id }) => id === versionId);
    if (found?.content) return { ...found, content: found.content };
    if (versionId === undefined) {
      throw new ServiceError('NoSuchKey', 'The specified key does not exist.', 404, {
        Key: key,
        ...(found && { deleteMarker: found.id }),
      });
    }
    if (!found) {
      throw new ServiceError('NoSuchVersion', 'The specified version does not exist.', 404, {
        Key: key,
        VersionId: versionId,
      });
    }
    throw new ServiceError(
      'MethodNotAllowed',
      'The specified method is not allowed against this resource.',
      405,
      { deleteMarker: found.id },
    );
  }

  public checkConditions(key: string, { ifMatch, ifNoneMatch }: WriteConditions): void {
    const current = this.versionsOf(key)[0]?.content;
    if (ifNoneMatch !== undefined && ifNoneMatch !== '*') {
      throw new ServiceError(
        'NotImplemented',
        'A header you provided implies functionality that is not implemented: If-None-Match other than *',
        501,
      );
    }
    if (ifNoneMatch === '*' && current) throw preconditionFailed('If-None-Match');
    if (ifMatch === undefined) return;
    if (!current) throw new ServiceError('NoSuchKey', 'The specified key does not exist.', 404, { Key: key });
    if (ifMatch !== '*' && unquote(ifMatch) !== unquote(current.etag)) throw preconditionFailed('If-Match');
  }

  public put(key: string, content: Content, now: number): Version {
    return this.add(key, { id: this.newVersionId(), lastModified: now, content });
  }

  /** @returns what was removed or marked; undefined where there was nothing to do */
  public delete(key: string, versionId: string | undefined, now: number): Version | undefined {
    if (versionId === undefined && this.versioned) {
      return this.add(key, { id: this.newVersionId(), lastModified: now });
    }
    const versions = this.versionsOf(key);
    const removed = versionId === undefined ? versions[0] : versions.find(({ id }) => id === versionId);
    if (!removed) return undefined;
    this.keep(
      key,
      versions.filter(version => version !== removed),
    );
    removeFile(removed);
    return removed;
  }

  private add(key: string, version: Version): Version {
    const older = this.versionsOf(key);
    this.keep(key, this.versioned ? [version, ...older] : [version]);
    if (!this.versioned) older.forEach(removeFile);
    return version;
  }

  private keep(key: string, versions: Version[]): void {
    if (versions.length > 0) this.versions.set(key, versions);
    else this.versions.delete(key);
  }

  private newVersionId(): string {
    return this.versioned ? randomBytes(24).toString('base64url') : 'null';
  }
}

function removeFile({ content }: Version): void {
  if (content) rmSync(content.file, { force: true });
}

export function preconditionFailed(condition: string): ServiceError {
  return new ServiceError(
    'PreconditionFailed',
    'At least one of the pre-conditions you specified did not hold',
    412,
    { Condition: condition },
  );
}

export function unquote(etag: string): string {
  return etag.replace(/^W\//, '').replace(/^"(.*)"$/, '$1');
}
