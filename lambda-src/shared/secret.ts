import type { SecretsManager } from './aws/secrets-manager';

/**
 * Reads a secret when it is first needed and keeps it for the life of the execution environment.
 * A failed read is not kept: the next request tries again.
 */
export function cachedSecret(client: SecretsManager, secretArn: string): () => Promise<string> {
  let value: Promise<string> | undefined;
  return () => {
    value ??= readSecret(client, secretArn).catch(error => {
      value = undefined;
      throw error;
    });
    return value;
  };
}

/** Reads a secret; `fresh` where the value known was refused. */
export type SecretReader = (fresh?: boolean) => Promise<string>;

const MAX_AGE_MS = 60_000;
const MAX_STALE_MS = 3_600_000;
/** Between two reads that a refusal asks for: whoever sends wrong keys must not make the function read without end. */
const MIN_FRESH_MS = 10_000;

/**
 * Keeps a secret for a minute, so that a changed one is seen within it, and at once where the old one is refused. While it cannot be
 * read, the value from before counts for up to an hour.
 */
export function rereadSecret(read: () => Promise<string>, now: () => number): SecretReader {
  let known: { readonly value: string; readonly at: number } | undefined;
  let triedAt = -Infinity;
  let reading: Promise<string> | undefined;

  async function readAgain(): Promise<string> {
    triedAt = now();
    try {
      const value = await read();
      known = { value, at: now() };
      return value;
    } catch (error) {
      if (known && now() - known.at < MAX_STALE_MS) return known.value;
      throw error;
    } finally {
      reading = undefined;
    }
  }

  return async (fresh = false) => {
    if (reading) return reading;
    const age = now() - triedAt;
    if (known && age < (fresh ? MIN_FRESH_MS : MAX_AGE_MS)) return known.value;
    reading = readAgain();
    return reading;
  };
}

/** The text value of a secret. */
export async function readSecret(client: SecretsManager, secretArn: string): Promise<string> {
  const { SecretString } = await client.call('GetSecretValue', { SecretId: secretArn });
  if (!SecretString) throw new Error(`The secret ${secretArn} has no text value`);
  return SecretString;
}
