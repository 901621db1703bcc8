import type { SecretsManager } from '../../shared/aws/secrets-manager';
import type { Clock } from '../../shared/clock';

/** A rotated secret is in use within this time. */
const KEPT_MS = 60_000;

/**
 * The secret's current value and the one before it, so that a rotation at the git host may take its time.
 * A failed read is not kept.
 */
export function webhookSecrets(
  client: SecretsManager,
  secretArn: string,
  clock: Clock,
): () => Promise<readonly string[]> {
  let kept: { readonly at: number; readonly values: Promise<readonly string[]> } | undefined;
  return () => {
    const now = clock.now();
    if (kept === undefined || now - kept.at >= KEPT_MS) {
      const values = Promise.all([
        read(client, secretArn, 'AWSCURRENT'),
        read(client, secretArn, 'AWSPREVIOUS'),
      ]).then(([current, previous]) => {
        if (!current) throw new Error(`The secret ${secretArn} has no text value`);
        return [current, previous].filter(value => value !== undefined && value !== '') as string[];
      });
      values.catch(() => {
        kept = undefined;
      });
      kept = { at: now, values };
    }
    return kept.values;
  };
}

async function read(client: SecretsManager, secretArn: string, stage: string): Promise<string | undefined> {
  try {
    const { SecretString } = await client.call('GetSecretValue', {
      SecretId: secretArn,
      VersionStage: stage,
    });
    return SecretString;
  } catch (error) {
    if (stage === 'AWSPREVIOUS' && (error as Error).name === 'ResourceNotFoundException') return undefined; // never rotated
    throw error;
  }
}
