/** The one way that handlers read secrets. */
import { PutSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { startStack } from 'cdk-localhost/testing/stack';
import { clientFor } from 'cdk-localhost/testing/stand-ins';
import { describe, expect, test } from 'vitest';
import { environmentOf } from './aws/environment';
import { jsonClient } from '../../lambda-src/shared/aws/json';
import { SECRETS_MANAGER, type SecretsManager } from '../../lambda-src/shared/aws/secrets-manager';
import { acceptedSecrets, cachedSecret } from '../../lambda-src/shared/secret';

describe('a secret to show', () => {
  /** Answers in turn, and counts. */
  function fixture(answers: (string | Error | undefined)[]) {
    const state = { now: 0, asked: 0 };
    const call = async () => {
      const answer = answers[state.asked++];
      if (answer instanceof Error) throw answer;
      return { SecretString: answer };
    };
    const secret = cachedSecret({ call } as unknown as SecretsManager, 'arn:of:secret', () => state.now);
    return { state, secret };
  }

  test('is read once a minute, whoever asks at the same time', async () => {
    const { state, secret } = fixture(['first', 'second']);
    expect(await Promise.all([secret(), secret()])).toEqual(['first', 'first']);
    state.now = 59_999;
    expect(await secret()).toBe('first');
    state.now = 60_000;
    expect(await secret()).toBe('second');
    expect(state.asked).toBe(2);
  });

  test('is read at once where it was refused, but not more than every ten seconds', async () => {
    const { state, secret } = fixture(['first', 'second', 'third']);
    await secret();
    state.now = 1; // it may have changed since a moment ago
    expect(await secret(true)).toBe('second');
    state.now = 10_000;
    expect(await secret(true)).toBe('second');
    expect(state.asked).toBe(2);
    state.now = 10_001;
    expect(await secret(true)).toBe('third');
  });

  test('that cannot be read is asked for again, and the last value counts for an hour', async () => {
    const failed = new Error('throttled');
    const { state, secret } = fixture([failed, 'value', failed, failed]);
    await expect(secret()).rejects.toThrow('throttled');
    expect(await secret()).toBe('value');
    state.now = 3_599_999;
    expect(await secret()).toBe('value');
    state.now += 60_000;
    await expect(secret()).rejects.toThrow('throttled');
  });

  test.each([
    [3_599_999, true],
    [3_600_000, false],
  ])('that cannot be read after %i ms: the value from before counts %s', async (now, counts) => {
    const { state, secret } = fixture(['value', new Error('throttled')]);
    await secret();
    state.now = now;
    if (counts) expect(await secret()).toBe('value');
    else await expect(secret()).rejects.toThrow('throttled');
  });

  test('without text is an error that names it', async () => {
    await expect(fixture([undefined]).secret()).rejects.toThrow(/arn:of:secret has no text/);
  });
});

test('a secret that others show is its value and the one before it', async () => {
  const stack = await startStack(
    scope => void new secretsmanager.Secret(scope, 'Webhook', { secretName: 'webhook' }),
  );
  const client = new SecretsManagerClient(clientFor(stack, 'secretsManager'));
  const put = (SecretString: string) =>
    client.send(new PutSecretValueCommand({ SecretId: 'webhook', SecretString }));
  let now = 0;
  const secrets = acceptedSecrets(
    jsonClient(SECRETS_MANAGER, 'quick', environmentOf(stack, 'secretsManager')),
    'webhook',
    () => now,
  );
  try {
    await put('first');
    await put('second');
    expect(await secrets()).toEqual(['second', 'first']);
    await put('third');
    expect(await secrets()).toEqual(['second', 'first']);
    now = 10_000;
    expect(await secrets(true)).toEqual(['third', 'second']);
    await put('fourth');
    now = 70_000;
    expect(await secrets()).toEqual(['fourth', 'third']);
  } finally {
    client.destroy();
    await stack.stop();
  }
});
