/** The listings of S3: pages, common prefixes and the encoding of keys. */
import { ServiceError } from '../aws-json';
import type { Bucket, Version } from './store';
import type { XmlMembers } from './xml';

const MAX_KEYS = 1000;

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html */
export function listObjects(bucket: Bucket, query: URLSearchParams): XmlMembers {
  const token = query.get('continuation-token');
  const startAfter = query.get('start-after') ?? undefined;
  const items = bucket.keys(query.get('prefix') ?? '').flatMap(key => {
    const [{ content, lastModified }] = bucket.versionsOf(key);
    return content
      ? [
          {
            key,
            members: () => ({ LastModified: new Date(lastModified).toISOString(), ...describe(content) }),
          },
        ]
      : [];
  });
  const page = paginate(items, query, token === null ? startAfter : decodeToken(token));
  return {
    Name: bucket.name,
    Prefix: encoded(query, query.get('prefix') ?? ''),
    ...(startAfter !== undefined && { StartAfter: encoded(query, startAfter) }),
    ...page.members,
    KeyCount: page.count,
    ...(token !== null && { ContinuationToken: token }),
    ...(page.last !== undefined && { NextContinuationToken: encodeToken(page.last) }),
    Contents: page.items.map(({ key, members }) => ({ Key: encoded(query, key), ...members() })),
  };
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html */
export function listVersions(bucket: Bucket, query: URLSearchParams): XmlMembers {
  const keyMarker = query.get('key-marker') ?? undefined;
  const versionMarker = query.get('version-id-marker') ?? undefined;
  if (versionMarker !== undefined && keyMarker === undefined) {
    throw new ServiceError(
      'InvalidArgument',
      'A version-id marker cannot be specified without a key marker.',
    );
  }
  const items = bucket.keys(query.get('prefix') ?? '').flatMap(key =>
    bucket.versionsOf(key).map((version, index) => ({
      key,
      version,
      members: () => describeVersion(version, index === 0),
    })),
  );
  // A marker of key and version is in the middle of a key: what came before it is cut off here, the rest by
  // `paginate`.
  const start =
    versionMarker === undefined
      ? 0
      : items.findIndex(({ key, version }) => key === keyMarker && version.id === versionMarker) + 1;
  const page = paginate(items.slice(start), query, start > 0 ? undefined : keyMarker);
  const last = page.items[page.items.length - 1];
  const elements = page.items.map(({ key, version, members }) => ({
    marker: !version.content,
    members: { Key: encoded(query, key), ...members() },
  }));
  return {
    Name: bucket.name,
    Prefix: encoded(query, query.get('prefix') ?? ''),
    KeyMarker: encoded(query, keyMarker ?? ''),
    VersionIdMarker: versionMarker ?? '',
    ...page.members,
    ...(page.last !== undefined && {
      NextKeyMarker: encoded(query, page.last),
      ...(last?.key === page.last && { NextVersionIdMarker: last.version.id }),
    }),
    Version: elements.filter(({ marker }) => !marker).map(({ members }) => members),
    DeleteMarker: elements.filter(({ marker }) => marker).map(({ members }) => members),
  };
}

interface Page<T> {
  readonly items: T[];
  readonly count: number;
  /** The key or common prefix after which the next page begins; undefined on the last one. */
  readonly last?: string;
  readonly members: XmlMembers;
}

function paginate<T extends { key: string }>(
  items: T[],
  query: URLSearchParams,
  after: string | undefined,
): Page<T> {
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const maxKeys = readMaxKeys(query);
  const chosen: T[] = [];
  const prefixes = new Set<string>();
  let last: string | undefined;
  let truncated = false;
  for (const item of items) {
    const end = delimiter ? item.key.indexOf(delimiter, prefix.length) : -1;
    const group = end < 0 ? undefined : item.key.slice(0, end + delimiter.length);
    if (after !== undefined && compare(group ?? item.key, after) <= 0) continue;
    if (group !== undefined && prefixes.has(group)) continue;
    truncated = chosen.length + prefixes.size >= maxKeys;
    if (truncated) break;
    if (group === undefined) chosen.push(item);
    else prefixes.add(group);
    last = group ?? item.key;
  }
  return {
    items: chosen,
    count: chosen.length + prefixes.size,
    last: truncated && maxKeys > 0 ? last : undefined,
    members: {
      MaxKeys: maxKeys,
      ...(delimiter && { Delimiter: encoded(query, delimiter) }),
      ...(query.has('encoding-type') && { EncodingType: 'url' }),
      IsTruncated: truncated && maxKeys > 0,
      CommonPrefixes: [...prefixes].map(group => ({ Prefix: encoded(query, group) })),
    },
  };
}

function readMaxKeys(query: URLSearchParams): number {
  const text = query.get('max-keys');
  if (text === null) return MAX_KEYS;
  if (!/^\d{1,10}$/.test(text)) {
    throw new ServiceError('InvalidArgument', 'Provided max-keys not an integer or within integer range');
  }
  return Math.min(Number(text), MAX_KEYS);
}

function describe({ etag, size, checksum }: NonNullable<Version['content']>): XmlMembers {
  return {
    ETag: etag,
    ChecksumAlgorithm: checksum.algorithm,
    ChecksumType: checksum.type,
    Size: size,
    StorageClass: 'STANDARD',
  };
}

function describeVersion({ id, lastModified, content }: Version, isLatest: boolean): XmlMembers {
  return {
    VersionId: id,
    IsLatest: isLatest,
    LastModified: new Date(lastModified).toISOString(),
    ...(content && describe(content)),
  };
}

function encoded(query: URLSearchParams, text: string): string {
  return query.get('encoding-type') === 'url' ? encodeURIComponent(text).replace(/%2F/g, '/') : text;
}

function compare(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function encodeToken(key: string): string {
  return Buffer.from(key).toString('base64url');
}

function decodeToken(token: string): string {
  if (!/^[A-Za-z0-9_-]+$/.test(token)) {
    throw new ServiceError('InvalidArgument', 'The continuation token provided is incorrect');
  }
  return Buffer.from(token, 'base64url').toString('utf8');
}
