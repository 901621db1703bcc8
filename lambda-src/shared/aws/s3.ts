import type { Readable } from 'node:stream';
import { type AwsClient, type CallOptions, createClient } from './client';
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
  /** The ETag of the object that this one is to replace; undefined where there must be none. Else it fails with status 412. */
  readonly replaces?: string;
  /** Whatever is there is replaced. */
  readonly overwrite?: boolean;
}

export interface ObjectHead {
  /** Quotation marks and all, as S3 wants it back. */
  readonly etag: string;
  readonly versionId?: string;
  readonly bytes: number;
  /** Where the object was stored with its SHA-256. */
  readonly sha256?: Buffer;
  /** Names in lower case. */
  readonly metadata: Readonly<Record<string, string>>;
}

export interface S3 {
  headObject(bucket: string, key: string, options?: CallOptions): Promise<ObjectHead>;
  putObject(object: PutObject, options?: CallOptions): Promise<{ readonly versionId?: string }>;
}

export function s3Client(kind: CallKind, env: NodeJS.ProcessEnv): S3 {
  const client: AwsClient = createClient(
    { signingName: 's3', endpointPrefix: 's3', environmentName: 'S3', error: xmlError },
    kind,
    env,
  );
  /** A name with dots does not match the certificate; under a configured endpoint no name of a host is known to resolve. */
  const placeOf = (bucket: string, key: string): { path: string; origin?: URL } => {
    const { url, configured } = client.endpoint;
    const path = `/${key.split('/').map(encode).join('/')}`;
    return configured || bucket.includes('.')
      ? { path: `/${bucket}${path}` }
      : { path, origin: new URL(`${url.protocol}//${bucket}.${url.host}`) };
  };
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
