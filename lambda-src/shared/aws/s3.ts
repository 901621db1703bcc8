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
  /** Fails with status 412 where the key is taken. */
  readonly onlyIfNew: boolean;
}

export interface S3 {
  putObject(object: PutObject, options?: CallOptions): Promise<{ readonly versionId?: string }>;
}

export function s3Client(kind: CallKind, env: NodeJS.ProcessEnv): S3 {
  const client: AwsClient = createClient(
    { signingName: 's3', endpointPrefix: 's3', environmentName: 'S3', error: xmlError },
    kind,
    env,
  );
  return {
    async putObject({ bucket, key, open, bytes, sha256, contentType, metadata, onlyIfNew }, options) {
      const { url, configured } = client.endpoint;
      const path = `/${key.split('/').map(encode).join('/')}`;
      // A name with dots does not match the certificate; under a configured endpoint no name is known to resolve.
      const inPath = configured || bucket.includes('.');
      const { headers } = await client.send(
        {
          method: 'PUT',
          path: inPath ? `/${bucket}${path}` : path,
          origin: inPath ? undefined : new URL(`${url.protocol}//${bucket}.${url.host}`),
          headers: {
            'content-type': contentType,
            'content-length': String(bytes),
            'x-amz-content-sha256': sha256.toString('hex'),
            'x-amz-checksum-sha256': sha256.toString('base64'),
            ...Object.fromEntries(
              Object.entries(metadata).map(([name, value]) => [`x-amz-meta-${name.toLowerCase()}`, value]),
            ),
            ...(onlyIfNew && { 'if-none-match': '*' }),
          },
          body: { open },
        },
        options,
      );
      return { versionId: headers['x-amz-version-id'] };
    },
  };
}

/** Everything but unreserved characters (RFC 3986), as signatures want it. */
function encode(segment: string): string {
  return encodeURIComponent(segment).replace(
    /[!'()*]/g,
    character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
