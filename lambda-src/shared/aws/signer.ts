import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';

/** What AWS's signer hashes with. */
export class Sha256 {
  private readonly hash: Hash | Hmac;

  public constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.hash = secret === undefined ? createHash('sha256') : createHmac('sha256', secret as Uint8Array);
  }

  public update(data: Uint8Array): void {
    this.hash.update(data);
  }

  public async digest(): Promise<Uint8Array> {
    return this.hash.digest();
  }
}

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** The role of the function. Read whenever they are needed, as variables may change. */
export function credentialsFrom(env: NodeJS.ProcessEnv): Credentials {
  const {
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_SESSION_TOKEN: sessionToken,
  } = env;
  if (!accessKeyId || !secretAccessKey) {
    throw Object.assign(
      new Error(
        'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set: Lambda sets them from the role of the function',
      ),
      { name: 'CredentialsError' },
    );
  }
  return { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) };
}

/**
 * @param escapePath twice over, as every service but S3 wants it
 * @param credentials default: those of the function's role
 */
export function createSigner(
  service: string,
  region: string,
  env: NodeJS.ProcessEnv,
  escapePath: boolean,
  credentials: () => Promise<Credentials> = async () => credentialsFrom(env),
): SignatureV4 {
  return new SignatureV4({
    service,
    region,
    credentials,
    sha256: Sha256,
    uriEscapePath: escapePath,
  });
}
