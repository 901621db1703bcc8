import type { Readable } from 'node:stream';
import { type AwsClient, type CallOptions, createClient } from './client';
import { type Endpoint, endpointOf } from './endpoint';
import { xmlError } from './errors';
import type { CallKind } from './limits';

export interface PutObject {
  readonly bucket: string;
  readonly key: string;
  /** Called for each attempt. */
  readonly open: () => Readable;
  readonly bytes: number;
  /** SHA-256 of the bytes: signed, so that S3 refuses anything else. */
  readonly sha256: Buffer;
  readonly contentType: string;
  readonly metadata: Readonly<Record<string, string>>;
  /**
   * The ETag of the object that this one is to replace; undefined where there must be none. Else it fails
   * with status 412.
   */
  readonly replaces?: string;
  /** Whatever is there is replaced. */
  readonly overwrite?: boolean;
}

export interface ObjectHead {
  /** With its quotation marks, as S3 wants it back. */
  readonly etag: string;
  readonly versionId?: string;
  readonly bytes: number;
  /** Where the object was stored with its SHA-256. */
  readonly sha256?: Buffer;
  /** Names in lower case. */
  readonly metadata: Readonly<Record<string, string>>;
}

export interface ListedObject {
  readonly key: string;
  readonly etag: string;
}

export interface S3Reader {
  /** The whole object, for small ones. */
  getObject(bucket: string, key: string, options?: CallOptions): Promise<Buffer>;
  /** All objects below the prefix, in the order of their names. */
  listObjects(bucket: string, prefix: string, options?: CallOptions): Promise<readonly ListedObject[]>;
}

export interface S3 {
  headObject(bucket: string, key: string, options?: CallOptions): Promise<ObjectHead>;
  putObject(object: PutObject, options?: CallOptions): Promise<{ readonly versionId?: string }>;
}

const NAME = { endpointPrefix: 's3', environmentName: 'S3' };

/**
 * A name with dots does not match the certificate; under a configured endpoint no other host name is known to
 * resolve.
 */
function placeIn({ url, configured }: Endpoint, bucket: string, key: string): { path: string; origin?: URL } {
  const path = `/${key.split('/').map(encode).join('/')}`;
  return configured || bucket.includes('.')
    ? { path: `/${bucket}${path}` }
    : { path, origin: new URL(`${url.protocol}//${bucket}.${url.host}`) };
}

/** Where an object is, for requests that somebody else makes and signs. */
export function objectUrl(bucket: string, key: string, env: NodeJS.ProcessEnv): string {
  const endpoint = endpointOf(NAME, env);
  const { path, origin = endpoint.url } = placeIn(endpoint, bucket, key);
  return `${origin.origin}${origin === endpoint.url ? endpoint.url.pathname.replace(/\/$/, '') : ''}${path}`;
}

export function s3Client(kind: CallKind, env: NodeJS.ProcessEnv): S3 & S3Reader {
  const client: AwsClient = createClient({ signingName: 's3', ...NAME, error: xmlError }, kind, env);
  const placeOf = (bucket: string, key: string) => placeIn(client.endpoint, bucket, key);
  return {
    async headObject(bucket, key, options) {
      const { headers } = await client.send(
        {
          method: 'HEAD',
          ...placeOf(bucket, key),
          headers: { 'x-amz-content-sha256': EMPTY, 'x-amz-checksum-mode': 'ENABLED' },
          body: '',
        },
        options,
      );
      const sha256 = headers['x-amz-checksum-sha256'];
      return {
        etag: headers.etag ?? '',
        versionId: headers['x-amz-version-id'],
        bytes: Number(headers['content-length'] ?? 0),
        sha256: sha256 === undefined ? undefined : Buffer.from(sha256, 'base64'),
        metadata: Object.fromEntries(
          Object.entries(headers).flatMap(([name, value]) =>
            name.startsWith(META) ? [[name.slice(META.length), value]] : [],
          ),
        ),
      };
    },

    async getObject(bucket, key, options) {
      const { body } = await client.send(
        { method: 'GET', ...placeOf(bucket, key), headers: { 'x-amz-content-sha256': EMPTY }, body: '' },
        options,
      );
      return body;
    },

    async listObjects(bucket, prefix, options) {
      const found: ListedObject[] = [];
      let token: string | undefined;
      do {
        const { body } = await client.send(
          {
            method: 'GET',
            ...placeOf(bucket, ''),
            query: {
              'list-type': '2',
              'encoding-type': 'url',
              prefix,
              ...(token && { 'continuation-token': token }),
            },
            headers: { 'x-amz-content-sha256': EMPTY },
            body: '',
          },
          options,
        );
        const text = body.toString('utf8');
        for (const [, entry] of text.matchAll(/<Contents>(.*?)<\/Contents>/gs)) {
          found.push({
            key: decodeURIComponent(member(entry, 'Key') ?? ''),
            etag: member(entry, 'ETag') ?? '',
          });
        }
        token = member(text, 'NextContinuationToken');
      } while (token);
      return found;
    },

    async putObject(
      { bucket, key, open, bytes, sha256, contentType, metadata, replaces, overwrite },
      options,
    ) {
      const { headers } = await client.send(
        {
          method: 'PUT',
          ...placeOf(bucket, key),
          headers: {
            'content-type': contentType,
            'content-length': String(bytes),
            'x-amz-content-sha256': sha256.toString('hex'),
            'x-amz-checksum-sha256': sha256.toString('base64'),
            ...Object.fromEntries(
              Object.entries(metadata).map(([name, value]) => [META + name.toLowerCase(), value]),
            ),
            ...(!overwrite && (replaces === undefined ? { 'if-none-match': '*' } : { 'if-match': replaces })),
          },
          body: { open },
        },
        options,
      );
      return { versionId: headers['x-amz-version-id'] };
    },
  };
}

/**
 * A member's text. Keys are percent-encoded in the answer, and nothing else that is read here has characters
 * that XML escapes.
 */
function member(xml: string, name: string): string | undefined {
  return new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1].replaceAll('&quot;', '"');
}

const META = 'x-amz-meta-';
/** SHA-256 of nothing. */
const EMPTY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

/** Everything but unreserved characters (RFC 3986), as signatures want it. */
function encode(segment: string): string {
  return encodeURIComponent(segment).replace(
    /[!'()*]/g,
    character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
