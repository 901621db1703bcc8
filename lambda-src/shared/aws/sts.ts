import { type CallOptions, createClient } from './client';
import { AwsError, xmlError } from './errors';
import type { CallKind } from './limits';
import type { Credentials } from './signer';

export interface AssumeRoleInput {
  readonly roleArn: string;
  readonly sessionName: string;
  readonly externalId?: string;
}

export interface RoleSession extends Credentials {
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

export interface Sts {
  assumeRole(input: AssumeRoleInput, options?: CallOptions): Promise<RoleSession>;
}

/** A client of STS, whose protocol is a form and XML. https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html */
export function stsClient(kind: CallKind, env: NodeJS.ProcessEnv): Sts {
  const client = createClient(
    { signingName: 'sts', endpointPrefix: 'sts', environmentName: 'STS', error: xmlError },
    kind,
    env,
  );
  return {
    async assumeRole({ roleArn, sessionName, externalId }, options) {
      const form = new URLSearchParams({
        Action: 'AssumeRole',
        Version: '2011-06-15',
        RoleArn: roleArn,
        RoleSessionName: sessionName,
        ...(externalId !== undefined && { ExternalId: externalId }),
      });
      const answer = await client.send(
        {
          method: 'POST',
          path: '/',
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
          body: form.toString(),
        },
        options,
      );
      const text = answer.body.toString('utf8');
      const element = (name: string) => {
        const content = new RegExp(`<${name}>([^<]+)</${name}>`).exec(text)?.[1];
        if (content === undefined) {
          throw new AwsError('Unknown', `the answer to AssumeRole has no ${name}`, answer);
        }
        return content;
      };
      return {
        accessKeyId: element('AccessKeyId'),
        secretAccessKey: element('SecretAccessKey'),
        sessionToken: element('SessionToken'),
        expiresAt: Date.parse(element('Expiration')),
      };
    },
  };
}

/** Before they expire, credentials are used no more: a request that is signed with them may be under way for a while. */
const EXPIRY_MARGIN_MS = 5 * 60_000;

export interface AssumedRole {
  /** Those of before, until shortly before they expire. Requests that run side by side share new ones. */
  credentials(): Promise<Credentials>;
  /** The next ones are new: these were refused. */
  forget(): void;
}

export function assumedRole(sts: Sts, input: AssumeRoleInput, now: () => number): AssumedRole {
  let known: { readonly session: RoleSession; readonly until: number } | undefined;
  let asking: Promise<RoleSession> | undefined;

  async function ask(): Promise<RoleSession> {
    const session = await sts.assumeRole(input);
    const life = session.expiresAt - now();
    known = { session, until: now() + Math.max(life - EXPIRY_MARGIN_MS, life / 2) };
    return session;
  }

  return {
    async credentials() {
      if (known && now() < known.until) return known.session;
      return (asking ??= ask().finally(() => {
        asking = undefined;
      }));
    },
    forget() {
      known = undefined;
    },
  };
}

/** A session is called like the function, so that the other account's trail says who it was. */
export function sessionNameOf(env: NodeJS.ProcessEnv): string {
  return (env.AWS_LAMBDA_FUNCTION_NAME ?? 'function').replace(/[^\w+=,.@-]/g, '-').slice(0, 64);
}
