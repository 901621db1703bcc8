import type { SecretsManager } from './aws/secrets-manager';

/** What is read from elsewhere and kept for a minute; `fresh` where the known value was refused. */
export type Cached<T> = (fresh?: boolean) => Promise<T>;

const MAX_AGE_MS = 60_000;
const MAX_STALE_MS = 3_600_000;
/**
 * The least time between two reads that refusals cause: whoever sends wrong keys must not make the function
 * read endlessly.
 */
const MIN_FRESH_MS = 10_000;

/** A secret that we show to others: its current value. */
export function cachedSecret(client: SecretsManager, secretArn: string, now: () => number): Cached<string> {
  return cached(() => readSecret(client, secretArn), now);
}

/**
 * A secret that others show to us: its current value and the one before it, so that a rotation may take its
 * time on their side.
 */
export function acceptedSecrets(
  client: SecretsManager,
  secretArn: string,
  now: () => number,
): Cached<readonly string[]> {
  return cached(async () => {
    const [current, previous] = await Promise.all([
      readSecret(client, secretArn),
      readPrevious(client, secretArn),
    ]);
    return previous ? [current, previous] : [current];
  }, now);
}

/**
 * Keeps a value for a minute, so that a changed one is seen within it, and at once where the old one is
 * refused. While it cannot be read, the last value counts for up to an hour.
 */
function cached<T>(read: () => Promise<T>, now: () => number): Cached<T> {
  let known: { readonly value: T; readonly at: number } | undefined;
  let triedAt = -Infinity;
  let refusedAt = -Infinity;
  let reading: Promise<T> | undefined;

  async function readAgain(): Promise<T> {
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
    const kept = fresh ? refusedAt + MIN_FRESH_MS : triedAt + MAX_AGE_MS;
    if (known && now() < kept) return known.value;
    if (fresh) refusedAt = now();
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

async function readPrevious(client: SecretsManager, secretArn: string): Promise<string | undefined> {
  try {
    const { SecretString } = await client.call('GetSecretValue', {
      SecretId: secretArn,
      VersionStage: 'AWSPREVIOUS',
    });
    return SecretString;
  } catch (error) {
    if ((error as Error).name === 'ResourceNotFoundException') return undefined; // never rotated
    throw error;
  }
}
