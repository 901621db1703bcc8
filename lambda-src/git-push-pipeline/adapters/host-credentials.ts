import type { GitHubApp } from './github-app';
import type { CredentialReference } from '../../../src/git-push-pipeline/contract';
import {
  mostSpecific,
  type RepositoryAddress,
  type RepositoryPattern,
} from '../../../src/git-push-pipeline/repository-address';
import { GitError } from '../git/errors';
import type { GitCredentials } from '../git/transport';

/** A credential's pattern, read once. */
export interface KnownCredential {
  readonly pattern: RepositoryPattern;
  readonly reference: CredentialReference;
}

/**
 * What is configured for a repository, by the most specific pattern; read anew for each push: a rotated
 * secret is in use with the next.
 *
 * @param readSecret by ARN
 * @param appCredentials what a GitHub App opens the repository with
 */
export async function credentialsFor(
  address: RepositoryAddress,
  known: readonly KnownCredential[],
  readSecret: (arn: string) => Promise<string>,
  appCredentials: (address: RepositoryAddress, app: GitHubApp) => Promise<GitCredentials>,
): Promise<GitCredentials | undefined> {
  // One repository may have both a key and a token: the way it is cloned decides.
  const fits = known.filter(({ reference }) => schemeOf(reference) === address.scheme);
  const reference = (mostSpecific(address, fits) ?? anyPort(address, fits))?.reference;
  if (reference === undefined) {
    const other = (mostSpecific(address, known) ?? anyPort(address, known))?.reference;
    if (other === undefined) return undefined;
    throw new GitError(
      'CONFIGURATION',
      `the credentials for ${other.pattern} are for ${schemeOf(other)}, but the clone address is one of ${address.scheme}`,
    );
  }
  const value = await readSecret(reference.secretArn);
  if (reference.kind === 'ssh') return { kind: 'ssh', ...sshValue(value), knownHosts: reference.knownHosts };
  if (reference.kind === 'https') return { kind: 'https', ...httpsValue(value) };
  const { appId, apiUrl } = reference;
  return appCredentials(address, { appId, apiUrl, privateKey: sshValue(value).privateKey });
}

function schemeOf({ kind }: CredentialReference): 'https' | 'ssh' {
  return kind === 'ssh' ? 'ssh' : 'https';
}

/** A host that is named without a port stands for all its ports. */
function anyPort(
  { port: _, ...address }: RepositoryAddress,
  known: readonly KnownCredential[],
): KnownCredential | undefined {
  return mostSpecific(
    address,
    known.filter(({ pattern }) => pattern.port === undefined),
  );
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
    throw new GitError('CONFIGURATION', 'the secret of the git host begins like JSON and is not valid JSON');
  }
}

function required(fields: Record<string, unknown>, name: string): string {
  const value = fields[name];
  if (typeof value !== 'string' || value === '') {
    throw new GitError('CONFIGURATION', `the secret of the git host has no text under "${name}"`);
  }
  return value;
}
