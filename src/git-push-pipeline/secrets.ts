import type * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { validateTypes } from '../shared/validate-types';

/**
 * What proves that a webhook comes from the git host.
 */
export class WebhookSecret {
  /**
   * A secret whose value is the text that the git host was given too: the webhook's secret, token, signing
   * token (`whsec_…`), or with Azure DevOps the password.
   *
   * The value from before a rotation is accepted as well: put the new value into Secrets Manager first, then
   * into the git host. Adds `secretsmanager:GetSecretValue` on that secret to the accept function's role.
   *
   * @param secret its value is text, read once a minute, and whenever a signature does not match
   */
  public static fromSecret(secret: secretsmanager.ISecret): WebhookSecret {
    validateTypes(undefined, 'WebhookSecret.fromSecret', { secret });
    return new WebhookSecret(secret);
  }

  private constructor(
    /** @internal */
    public readonly _secret: secretsmanager.ISecret,
  ) {}
}

/**
 * What gives access to repositories of a git host. Adds `secretsmanager:GetSecretValue` on the secret to the
 * work function's role.
 */
export class GitCredentials {
  /**
   * A private key for clone addresses by SSH.
   *
   * @param secret its value is the key in OpenSSH, PEM or PPK form, or JSON such as `{"privateKey": "…",
   * "passphrase": "…"}`
   * @param knownHosts lines as in a `known_hosts` file: the host must show one of these keys, there is no
   * trust at first sight
   */
  public static sshKey(secret: secretsmanager.ISecret, knownHosts: string): GitCredentials {
    validateTypes(undefined, 'GitCredentials.sshKey', { secret, knownHosts });
    return new GitCredentials('ssh', secret, knownHosts);
  }

  /**
   * A token or password for clone addresses by HTTPS.
   *
   * @param secret its value is the token, or JSON such as `{"username": "…", "password": "…"}`
   */
  public static httpsToken(secret: secretsmanager.ISecret): GitCredentials {
    validateTypes(undefined, 'GitCredentials.httpsToken', { secret });
    return new GitCredentials('https', secret);
  }

  /**
   * A GitHub App, for clone addresses by HTTPS: no person's token is needed. For each fetch, the app's
   * installation issues a token that may read the contents of that one repository and nothing else; it is
   * kept for less than an hour.
   *
   * @see https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/authenticating-as-a-github-app-installation
   * @param appId the app's id or client id
   * @param privateKey its value is the app's private key, PEM as GitHub gives it
   */
  public static githubApp(appId: string, privateKey: secretsmanager.ISecret): GitCredentials {
    validateTypes(undefined, 'GitCredentials.githubApp', { appId, privateKey });
    return new GitCredentials('githubApp', privateKey, undefined, appId);
  }

  private constructor(
    /** @internal */
    public readonly _kind: 'ssh' | 'https' | 'githubApp',
    /** @internal */
    public readonly _secret: secretsmanager.ISecret,
    /** @internal */
    public readonly _knownHosts?: string,
    /** @internal */
    public readonly _appId?: string,
  ) {}
}
