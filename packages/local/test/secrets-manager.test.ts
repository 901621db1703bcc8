import {
  DescribeSecretCommand,
  GetSecretValueCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
  UpdateSecretVersionStageCommand,
} from '@aws-sdk/client-secrets-manager';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RunningStack, startStack } from '../src/testing/stack';
import { clientFor } from '../src/testing/stand-ins';

let running: RunningStack;
let client: SecretsManagerClient;
beforeAll(async () => {
  running = await startStack(stack => {
    for (const name of ['Stages', 'Token', 'Moved', 'Refused']) new Secret(stack, name);
  });
  client = new SecretsManagerClient({ ...clientFor(running, 'secretsManager'), maxAttempts: 1 });
});
afterAll(() => running?.stop());

const get = async (SecretId: string, version: { VersionStage?: string; VersionId?: string } = {}) =>
  (await client.send(new GetSecretValueCommand({ SecretId, ...version }))).SecretString;
const put = (SecretId: string, SecretString: string, more: object = {}) =>
  client.send(new PutSecretValueCommand({ SecretId, SecretString, ...more }));

test('a new value is the current one, and the one before stays as the previous', async () => {
  await put('Stages', 'one');
  await put('Stages', 'two');
  expect([await get('Stages'), await get('Stages', { VersionStage: 'AWSPREVIOUS' })]).toEqual(['two', 'one']);
  await expect(get('Stages', { VersionStage: 'AWSPENDING' })).rejects.toMatchObject({
    name: 'ResourceNotFoundException',
  });
  const { VersionId } = await put('Stages', 'three', { VersionStages: ['AWSPENDING'] });
  expect([await get('Stages'), await get('Stages', { VersionStage: 'AWSPENDING' })]).toEqual([
    'two',
    'three',
  ]);
  await expect(get('Stages', { VersionId, VersionStage: 'AWSCURRENT' })).rejects.toThrow("can't find");
});

test('a stage moves, and the version that was current becomes the previous one', async () => {
  const { VersionId: old } = await put('Moved', 'old');
  const { VersionId: pending } = await put('Moved', 'new', { VersionStages: ['AWSPENDING'] });
  const move = (more: object) =>
    client.send(
      new UpdateSecretVersionStageCommand({ SecretId: 'Moved', VersionStage: 'AWSCURRENT', ...more }),
    );
  await expect(move({ MoveToVersionId: pending })).rejects.toThrow('name it as RemoveFromVersionId');
  await move({ MoveToVersionId: pending, RemoveFromVersionId: old });
  expect([await get('Moved'), await get('Moved', { VersionStage: 'AWSPREVIOUS' })]).toEqual(['new', 'old']);
  const { VersionIdsToStages } = await client.send(new DescribeSecretCommand({ SecretId: 'Moved' }));
  expect(VersionIdsToStages).toMatchObject({
    [old!]: ['AWSPREVIOUS'],
    [pending!]: ['AWSPENDING', 'AWSCURRENT'],
  });
});

test('a token makes one version, whatever is repeated', async () => {
  const ClientRequestToken = 'a'.repeat(32);
  await put('Token', 'value', { ClientRequestToken });
  await put('Token', 'later');
  expect(await put('Token', 'value', { ClientRequestToken })).toMatchObject({
    VersionId: ClientRequestToken,
  });
  expect(await get('Token')).toBe('later');
  await expect(put('Token', 'other', { ClientRequestToken })).rejects.toMatchObject({
    name: 'ResourceExistsException',
  });
});

test('an ARN may lack its last six characters', async () => {
  const { ARN } = await client.send(new DescribeSecretCommand({ SecretId: 'Token' }));
  expect(await get(ARN!)).toBe(await get(ARN!.slice(0, -7)));
  await expect(get(ARN!.slice(0, -8))).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
});

test('bytes are kept as bytes', async () => {
  const SecretBinary = Buffer.from([0, 255, 7]);
  await client.send(new PutSecretValueCommand({ SecretId: 'Refused', SecretBinary }));
  const got = await client.send(new GetSecretValueCommand({ SecretId: 'Refused' }));
  expect(Buffer.from(got.SecretBinary!)).toEqual(SecretBinary);
  expect(got.SecretString).toBeUndefined();
});

test('an empty value, two values and a short token are refused', async () => {
  const refused = { name: 'InvalidParameterException' };
  await expect(put('Refused', '')).rejects.toMatchObject(refused);
  await expect(put('Refused', 'a', { SecretBinary: Buffer.from('a') })).rejects.toMatchObject(refused);
  await expect(put('Refused', 'a', { ClientRequestToken: 'short' })).rejects.toMatchObject(refused);
});
