/** What S3 does with objects: the answers to requests that have been understood and allowed. */
import { randomUUID } from 'node:crypto';
import { createReadStream, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import * as path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { ServiceError } from '../aws-json';
import { checksumHeader } from './checksums';
import type { S3Request } from './routes';
import { type Bucket, type Content, preconditionFailed, unquote, type Version } from './store';
import { receive, type Upload, write } from './upload';

type Headers = Readonly<Record<string, string>>;
export type ObjectVersion = Version & { readonly content: Content };

/** Headers that are stored with an object and returned with it. */
const KEPT_HEADER = new RegExp(
  '^(content-(type|encoding|disposition|language)|cache-control|expires|x-amz-meta-.+|x-amz-storage-class' +
    '|x-amz-server-side-encryption.*)$',
);
const MAX_METADATA_BYTES = 2048;
const TAGGING = 'x-amz-tagging';

export class S3Objects {
  /** @param folder where contents are */
  public constructor(
    private readonly folder: string,
    private readonly now: () => number,
  ) {}

  public newFile(): string {
    return path.join(this.folder, randomUUID());
  }

  public async get(
    { operation, headers, query }: S3Request,
    version: ObjectVersion,
    response: ServerResponse,
  ): Promise<void> {
    const { content } = version;
    if (isUnchanged(headers, version)) return void response.writeHead(304, describe(version)).end();
    const range = readRange(headers.range, content.size);
    const { [TAGGING]: tagging, ...kept } = content.headers;
    const answer: OutgoingHttpHeaders = {
      ...kept,
      ...(tagging && { 'x-amz-tagging-count': String(tagsOf(tagging).length) }),
      ...overrides(query),
      ...describe(version),
      ...encryption(content),
      ...(headers['x-amz-checksum-mode'] === 'ENABLED' && !range && describeChecksum(content)),
      'last-modified': new Date(version.lastModified).toUTCString(),
      'accept-ranges': 'bytes',
      'content-length': range ? range.end - range.start + 1 : content.size,
      ...(range && { 'content-range': `bytes ${range.start}-${range.end}/${content.size}` }),
    };
    const statusCode = range ? 206 : 200;
    if (operation === 'HeadObject' || content.size === 0) {
      return void response.writeHead(statusCode, answer).end();
    }
    // Opened before the answer begins: replacing the object meanwhile takes nothing from this reader.
    const file = await open(content.file);
    try {
      response.writeHead(statusCode, answer);
      await pipeline(file.createReadStream({ ...range, autoClose: false }), response);
    } finally {
      await file.close();
    }
  }

  public async put(
    message: IncomingMessage,
    { key, headers }: S3Request,
    bucket: Bucket,
  ): Promise<OutgoingHttpHeaders> {
    const kept = keptHeaders(headers);
    return this.store(bucket, key, wholeContent(await receive(message, this.newFile()), kept), headers);
  }

  public async copy(
    { key, headers }: S3Request,
    bucket: Bucket,
    from: Bucket,
    fromKey: string,
    source: ObjectVersion,
  ): Promise<{ headers: OutgoingHttpHeaders; etag: string; lastModified: number }> {
    const replaces = headers['x-amz-metadata-directive'] === 'REPLACE';
    if (from === bucket && fromKey === key && !replaces && source === from.versionsOf(key)[0]) {
      throw new ServiceError(
        'InvalidRequest',
        "This copy request is illegal because it is trying to copy an object to itself without changing the object's " +
          'metadata, storage class, website redirect location or encryption attributes.',
      );
    }
    const { [TAGGING]: _, ...described } = replaces ? keptHeaders(headers) : source.content.headers;
    const tags =
      headers['x-amz-tagging-directive'] === 'REPLACE'
        ? keptHeaders(headers)[TAGGING]
        : source.content.headers[TAGGING];
    const kept = { ...described, ...(tags && { [TAGGING]: tags }) };
    const copied = await write(
      [createReadStream(source.content.file)],
      this.newFile(),
      source.content.checksum.algorithm,
    );
    const content = wholeContent(copied, kept);
    const answer = this.store(bucket, key, content, headers);
    const sourceVersion = from.versioned ? { 'x-amz-copy-source-version-id': source.id } : {};
    return {
      headers: { ...answer, ...sourceVersion },
      etag: content.etag,
      lastModified: bucket.versionsOf(key)[0].lastModified,
    };
  }

  /** Makes it the object's newest version, unless the request's conditions say otherwise. */
  public store(
    bucket: Bucket,
    key: string,
    content: Content,
    headers: IncomingHttpHeaders,
  ): OutgoingHttpHeaders {
    try {
      bucket.checkConditions(key, { ifMatch: headers['if-match'], ifNoneMatch: headers['if-none-match'] });
    } catch (error) {
      rmSync(content.file, { force: true });
      throw error;
    }
    const version = bucket.put(key, content, this.now());
    return { ...describe({ ...version, content }), ...encryption(content), ...describeChecksum(content) };
  }
}

/** Which of a request's headers stay with the object that it creates. */
export function keptHeaders(headers: IncomingHttpHeaders): Headers {
  const kept: Record<string, string> = { 'content-type': 'binary/octet-stream' };
  let metadataBytes = 0;
  const tagging = headers[TAGGING];
  if (tagging) {
    kept[TAGGING] = String(tagging);
    tagsOf(kept[TAGGING]);
  }
  for (const [name, value] of Object.entries(headers)) {
    if (!KEPT_HEADER.test(name)) continue;
    const text = name === 'content-encoding' ? withoutFraming(String(value)) : String(value);
    if (text) kept[name] = text;
    if (name.startsWith('x-amz-meta-')) {
      metadataBytes += name.length - 'x-amz-meta-'.length + Buffer.byteLength(text, 'latin1');
    }
  }
  if (metadataBytes > MAX_METADATA_BYTES) {
    throw new ServiceError(
      'MetadataTooLarge',
      'Your metadata headers exceed the maximum allowed metadata size',
      400,
      { Size: metadataBytes, MaxSizeAllowed: MAX_METADATA_BYTES },
    );
  }
  return kept;
}

/**
 * The tags of a header, which has the form of a query.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html
 */
export function tagsOf(header: string): [string, string][] {
  const tags = [...new URLSearchParams(header)];
  if (tags.length > 10) {
    throw new ServiceError('BadRequest', 'Object tags cannot be greater than 10', 400);
  }
  if (new Set(tags.map(([key]) => key)).size < tags.length) {
    throw new ServiceError('InvalidTag', 'Cannot provide multiple Tags with the same key', 400);
  }
  if (tags.some(([key, value]) => key.length < 1 || key.length > 128 || value.length > 256)) {
    throw new ServiceError(
      'InvalidTag',
      'A tag has a key of 1 to 128 and a value of up to 256 characters',
      400,
    );
  }
  return tags;
}

/** How the upload was framed is not a property of the object. */
function withoutFraming(contentEncoding: string): string {
  return contentEncoding
    .split(',')
    .map(name => name.trim())
    .filter(name => name !== 'aws-chunked')
    .join(',');
}

function wholeContent({ file, size, md5, algorithm, checksum }: Upload, headers: Headers): Content {
  return {
    file,
    size,
    headers,
    etag: `"${md5}"`,
    checksum: { algorithm, value: checksum, type: 'FULL_OBJECT' },
  };
}

function describe({ id, content }: ObjectVersion): Headers {
  return { etag: content.etag, ...(id !== 'null' && { 'x-amz-version-id': id }) };
}

function encryption({ headers }: Content): Headers {
  const given = Object.entries(headers).filter(([name]) => name.startsWith('x-amz-server-side-encryption'));
  return given.length > 0 ? Object.fromEntries(given) : { 'x-amz-server-side-encryption': 'AES256' };
}

function describeChecksum({ checksum: { algorithm, value, type } }: Content): Headers {
  return { [checksumHeader(algorithm)]: value, 'x-amz-checksum-type': type };
}

/** The headers that a reader, typically by a presigned URL, wants to see in place of the object's own. */
function overrides(query: URLSearchParams): Headers {
  return Object.fromEntries(
    [
      'content-type',
      'content-language',
      'expires',
      'cache-control',
      'content-disposition',
      'content-encoding',
    ].flatMap(name => {
      const value = query.get(`response-${name}`);
      return value === null ? [] : [[name, value]];
    }),
  );
}

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-reads.html */
function isUnchanged(headers: IncomingHttpHeaders, { content, lastModified }: ObjectVersion): boolean {
  const seconds = Math.floor(lastModified / 1000) * 1000;
  const matches = (list: string) =>
    list.split(',').some(etag => ['*', unquote(content.etag)].includes(unquote(etag.trim())));
  const {
    'if-match': ifMatch,
    'if-none-match': ifNoneMatch,
    'if-modified-since': since,
    'if-unmodified-since': until,
  } = headers;
  if (ifMatch !== undefined && !matches(ifMatch)) throw preconditionFailed('If-Match');
  if (ifMatch === undefined && until !== undefined && seconds > Date.parse(until)) {
    throw preconditionFailed('If-Unmodified-Since');
  }
  if (ifNoneMatch !== undefined) return matches(ifNoneMatch);
  return since !== undefined && seconds <= Date.parse(since);
}

/** Undefined for the whole object, which is also the answer to anything but a single range of bytes. */
function readRange(header: string | undefined, size: number): { start: number; end: number } | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return undefined;
  const [, from, to] = match;
  const start = from === '' ? Math.max(size - Number(to), 0) : Number(from);
  const end = from === '' || to === '' ? size - 1 : Math.min(Number(to), size - 1);
  if (from !== '' && to !== '' && Number(to) < start) return undefined;
  if (start >= size || (from === '' && Number(to) === 0)) {
    throw new ServiceError('InvalidRange', 'The requested range is not satisfiable', 416, {
      RangeRequested: header,
      ActualObjectSize: size,
    });
  }
  return { start, end };
}
