import type {
  GetSecretValueCommandInput,
  GetSecretValueCommandOutput,
} from '@aws-sdk/client-secrets-manager';
import type { JsonClient, JsonService } from './json';

/** A type and not an interface, so that it matches `Operations`. */
export type SecretsManagerOperations = {
  /** Text secrets only: a binary one comes as base64. */
  GetSecretValue: {
    input: GetSecretValueCommandInput;
    output: Omit<GetSecretValueCommandOutput, '$metadata' | 'SecretBinary'>;
  };
};

export type SecretsManager = JsonClient<SecretsManagerOperations>;

export const SECRETS_MANAGER: JsonService<SecretsManagerOperations> = {
  signingName: 'secretsmanager',
  endpointPrefix: 'secretsmanager',
  environmentName: 'SECRETS_MANAGER',
  version: '1.1',
  target: 'secretsmanager',
};
