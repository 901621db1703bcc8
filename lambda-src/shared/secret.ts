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

/** The text value of a secret. */
export async function readSecret(client: SecretsManager, secretArn: string): Promise<string> {
  const { SecretString } = await client.call('GetSecretValue', { SecretId: secretArn });
  if (!SecretString) throw new Error(`The secret ${secretArn} has no text value`);
  return SecretString;
}
