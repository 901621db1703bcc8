import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';

export const SECRETS_MANAGER = {
  Client: SecretsManagerClient,
  commands: { GetSecretValue: GetSecretValueCommand },
};
