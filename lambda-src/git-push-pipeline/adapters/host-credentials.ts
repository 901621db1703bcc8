import type { CredentialReference } from '../../../src/git-push-pipeline/contract';
import { hostAndPort, type RepositoryAddress } from '../../../src/git-push-pipeline/repository-address';
import { GitError } from '../git/errors';
import type { GitCredentials } from '../git/transport';

/**
 * What is configured for a repository's host, read anew for each push: a rotated secret is in use with the next one.
 *
 * @param readSecret by ARN
 */
export async function credentialsFor(
  address: RepositoryAddress,
  references: readonly CredentialReference[],
  readSecret: (arn: string) => Promise<string>,
): Promise<GitCredentials | undefined> {
  const kind = address.scheme;
  const reference =
    references.find(({ host }) => host === hostAndPort(address)) ??
    references.find(({ host }) => host === address.host);
  if (reference === undefined) return undefined;
  if (reference.kind !== kind) {
    throw new GitError(
      'CONFIGURATION',
      `the credentials for ${reference.host} are for ${reference.kind}, but the clone address is one of ${kind}`,
    );
  }
  const value = await readSecret(reference.secretArn);
  if (reference.kind === 'ssh') return { kind: 'ssh', ...sshValue(value), knownHosts: reference.knownHosts };
  return { kind: 'https', ...httpsValue(value) };
}

/** The private key itself, or `{"privateKey", "passphrase"}`. */
function sshValue(value: string): { privateKey: string; passphrase?: string } {
  const fields = jsonFields(value);
  if (fields === undefined) return { privateKey: value };
  return {
    privateKey: required(fields, 'privateKey'),
    ...(typeof fields.passphrase === 'string' && { passphrase: fields.passphrase }),
  };
}

/** The token itself, or `{"username", "password"}`. */
function httpsValue(value: string): { username?: string; password: string } {
  const fields = jsonFields(value);
  if (fields === undefined) return { password: value.trim() };
  return {
    password: required(fields, 'password'),
    ...(typeof fields.username === 'string' && { username: fields.username }),
  };
}

function jsonFields(value: string): Record<string, unknown> | undefined {
  if (!value.trimStart().startsWith('{')) return undefined;
  try {
    return JSON.parse(value) as Record<string, unknown>;
  } catch {
    throw new GitError('CONFIGURATION', 'the secret of the git host begins like JSON and is none');
  }
}

function required(fields: Record<string, unknown>, name: string): string {
  const value = fields[name];
  if (typeof value !== 'string' || value === '') {
    throw new GitError('CONFIGURATION', `the secret of the git host has no text under "${name}"`);
  }
  return value;
}
