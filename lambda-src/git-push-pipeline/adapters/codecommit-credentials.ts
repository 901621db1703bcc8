import * as crypto from 'node:crypto';
import type { RepositoryAddress } from '../../../src/git-push-pipeline/repository-address';
import type { GitCredentials } from '../git/transport';

export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/**
 * The login that CodeCommit takes from an IAM identity over HTTPS: Signature Version 4 of a made-up "GIT"
 * request, as AWS's own git-remote-codecommit makes it. Good for some minutes.
 */
export function codeCommitCredentials(
  address: RepositoryAddress,
  aws: AwsCredentials,
  region: string,
  nowMs: number,
): Extract<GitCredentials, { kind: 'https' }> {
  const timestamp = new Date(nowMs).toISOString().replace(/[-:]|\.\d+Z$/g, '');
  const date = timestamp.slice(0, 8);
  const scope = `${date}/${region}/codecommit/aws4_request`;
  const canonical = `GIT\n/${address.path}\n\nhost:${address.host}\n\nhost\n`;
  const toSign = `AWS4-HMAC-SHA256\n${timestamp}\n${scope}\n${crypto.createHash('sha256').update(canonical).digest('hex')}`;
  const key = [date, region, 'codecommit', 'aws4_request'].reduce<crypto.BinaryLike>(
    (k, part) => hmac(k, part),
    `AWS4${aws.secretAccessKey}`,
  );
  const username = aws.accessKeyId + (aws.sessionToken === undefined ? '' : `%${aws.sessionToken}`);
  return { kind: 'https', username, password: `${timestamp}Z${hmac(key, toSign).toString('hex')}` };
}

function hmac(key: crypto.BinaryLike, text: string): Buffer {
  return crypto.createHmac('sha256', key).update(text).digest();
}
