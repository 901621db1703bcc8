import { Token } from 'aws-cdk-lib';
import type * as events from 'aws-cdk-lib/aws-events';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import { DESTINATION_BYTES, type DestinationSettings, type HttpAuthSettings } from './contract';
import { grantPutEvents } from '../shared/event-bus';
import { grantQueueSend } from '../shared/queue-with-dead-letters';
import { InvalidPropError } from '../shared/validate';
import { validateTypes } from '../shared/validate-types';

/**
 * How the runner gets a token by OAuth 2 client credentials.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-4.4
 */
export interface OAuth2Options {
  /** The token endpoint: an https URL. */
  readonly tokenUrl: string;

  /**
   * The scopes, separated by blanks.
   *
   * @default - none
   */
  readonly scope?: string;

  /**
   * The audience, where the token endpoint wants one.
   *
   * @default - none
   */
  readonly audience?: string;

  /**
   * Whether id and secret go in the body of the token request instead of its `Authorization` header.
   *
   * @default false
   */
  readonly credentialsInBody?: boolean;
}

/**
 * The service of AWS that requests are signed for.
 */
export interface SigV4Options {
  /**
   * The service as signatures name it: `execute-api` for API Gateway, `lambda` for function URLs, `es`,
   * `aoss`.
   */
  readonly service: string;

  /**
   * The region as signatures name it.
   *
   * @default - the run function's
   */
  readonly region?: string;

  /**
   * A role that the run function assumes, and signs with: one of another account, say. It gets the permission for exactly this role; the
   * role's owner has it trust the run function's role. When STS refuses, no record is counted as failed: the run is ended as after a
   * refused login.
   *
   * @default - the run function's own role
   */
  readonly role?: iam.IRole;

  /**
   * What the trust policy of `role` has as `sts:ExternalId`, 2 to 1,224 characters. It is no secret, and stands in the template.
   *
   * @default - none
   */
  readonly externalId?: string;
}

/**
 * How the runner authenticates to an http destination. The values are kept in a secret, as a JSON object,
 * and are read at run time.
 */
export class DestinationAuth {
  /**
   * `Authorization: Basic …`.
   *
   * @param secret with the members `username` and `password`
   */
  public static basic(secret: secretsmanager.ISecret): DestinationAuth {
    validateTypes(undefined, 'DestinationAuth.basic', { secret });
    return new DestinationAuth({ kind: 'basic' }, secret);
  }

  /**
   * `Authorization: Bearer …`.
   *
   * @param secret with the member `token`
   */
  public static bearer(secret: secretsmanager.ISecret): DestinationAuth {
    validateTypes(undefined, 'DestinationAuth.bearer', { secret });
    return new DestinationAuth({ kind: 'bearer' }, secret);
  }

  /**
   * A key in a header.
   *
   * @param header for instance `x-api-key`
   * @param secret with the member `key`
   */
  public static apiKey(header: string, secret: secretsmanager.ISecret): DestinationAuth {
    validateTypes(undefined, 'DestinationAuth.apiKey', { header, secret });
    checkHeader(header);
    return new DestinationAuth({ kind: 'apiKey', header }, secret);
  }

  /**
   * A token by OAuth 2 client credentials, renewed before it expires.
   *
   * @param secret with the members `clientId` and `clientSecret`
   * @param options where the token comes from
   */
  public static oauth2(secret: secretsmanager.ISecret, options: OAuth2Options): DestinationAuth {
    validateTypes(undefined, 'DestinationAuth.oauth2', { secret, options });
    const { tokenUrl, scope, audience, credentialsInBody } = options;
    checkUrl('tokenUrl', tokenUrl);
    return new DestinationAuth(
      {
        kind: 'oauth2',
        tokenUrl,
        scope,
        audience,
        clientAuthentication: credentialsInBody ? 'body' : 'basic',
      },
      secret,
    );
  }

  /**
   * Each request is signed (AWS Signature Version 4) with the run function's role: for API Gateway with IAM, OpenSearch and other services
   * of AWS. What that role may do there is yours to grant, to `runner.runFunction`; or give the `role` that the function assumes.
   *
   * @param options which service the signature is for
   */
  public static sigV4(options: SigV4Options): DestinationAuth {
    validateTypes(undefined, 'DestinationAuth.sigV4', { options });
    const { service, region, role, externalId } = options;
    if (!Token.isUnresolved(service) && !/^[a-z0-9-]{1,64}$/.test(service)) {
      throw new InvalidPropError(
        undefined,
        `\`service\` must be a service's name in signatures such as "execute-api", got ${JSON.stringify(service)}`,
      );
    }
    if (region !== undefined && !Token.isUnresolved(region) && !/^[a-z]{2,}(-[a-z]+)+-\d$/.test(region)) {
      throw new InvalidPropError(
        undefined,
        `\`region\` must be a region such as "eu-central-1", got ${JSON.stringify(region)}`,
      );
    }
    if (role !== undefined && !Token.isUnresolved(role.roleArn) && /[*?]/.test(role.roleArn)) {
      throw new InvalidPropError(undefined, `\`role\` must be one role, got ${JSON.stringify(role.roleArn)}`);
    }
    if (externalId !== undefined) {
      if (role === undefined) {
        throw new InvalidPropError(undefined, '`externalId` must go with a `role` that is assumed with it');
      }
      if (!Token.isUnresolved(externalId) && !/^[\w+=,.@:/-]{2,1224}$/.test(externalId)) {
        throw new InvalidPropError(
          undefined,
          `\`externalId\` must be 2 to 1,224 letters, digits or any of +=,.@:/-_, got ${JSON.stringify(externalId)}`,
        );
      }
    }
    return new DestinationAuth(
      { kind: 'sigV4', service, region, roleArn: role?.roleArn, externalId },
      undefined,
      grantee => {
        if (role === undefined) return;
        iam.Grant.addToPrincipal({ grantee, actions: ['sts:AssumeRole'], resourceArns: [role.roleArn] });
      },
    );
  }

  private constructor(
    /** @internal */
    public readonly _settings: HttpAuthSettings,
    /** @internal */
    public readonly _secret?: secretsmanager.ISecret,
    /** @internal */
    public readonly _grant: (grantee: iam.IGrantable) => void = () => undefined,
  ) {}
}

/**
 * An HTTP API that takes batches.
 */
export interface HttpDestinationOptions {
  /** Where batches go: an https URL. */
  readonly url: string;

  /**
   * The HTTP method: `POST`, `PUT` or `PATCH`.
   *
   * @default 'POST'
   */
  readonly method?: string;

  /**
   * Headers of every request. No credentials: they are in the template.
   *
   * @default - `Content-Type: application/json`, and `Idempotency-Key` for each batch
   */
  readonly headers?: { [name: string]: string };

  /**
   * How the runner authenticates.
   *
   * @default - not at all
   */
  readonly auth?: DestinationAuth;

  /**
   * A client certificate (mTLS): a secret whose text is a JSON object with `certificate` and `privateKey`, both PEM; `passphrase` where the
   * key has one, and `ca` where the server's own certificate is of a private authority. It may go with `auth`. A changed one is used
   * within a minute, and at once where the old one is refused.
   *
   * @default - none
   */
  readonly clientCertificate?: secretsmanager.ISecret;

  /**
   * The records go as `{"<dataKey>":[…]}` instead of `[…]`.
   *
   * @default - as `[…]`
   */
  readonly dataKey?: string;

  /**
   * The statuses that mean a batch was taken.
   *
   * @default - 200 to 299
   */
  readonly successStatus?: number[];

  /**
   * Further statuses, from 400 to 599, that mean the destination is not there now: the batch is sent again until it is.
   *
   * @default - 408, 425, 429 and all from 500 on except 501 and 505
   */
  readonly retryStatus?: number[];
}

/**
 * What events for a destination bus are called.
 */
export interface EventBusDestinationOptions {
  /**
   * The source of the events.
   *
   * @default 'webhook-runner'
   */
  readonly source?: string;

  /**
   * The detail type of the events.
   *
   * @default 'Records'
   */
  readonly detailType?: string;
}

/**
 * Where the records go.
 */
export class WebhookDestination {
  /**
   * An HTTP API: each batch is one request. While it cannot be reached, or answers 408, 425, 429 or 5xx, the run waits; 401 and 403 have
   * the secret read anew and then end the run; a batch that is refused otherwise is halved until the guilty records stand alone.
   *
   * @param options where and how
   */
  public static http(options: HttpDestinationOptions): WebhookDestination {
    validateTypes(undefined, 'WebhookDestination.http', { options });
    const { url, method, headers, auth, clientCertificate, dataKey, successStatus, retryStatus } = options;
    checkUrl('url', url);
    if (method !== undefined && !['POST', 'PUT', 'PATCH'].includes(method)) {
      throw new InvalidPropError(undefined, `\`method\` must be POST, PUT or PATCH, got "${method}"`);
    }
    Object.keys(headers ?? {}).forEach(checkHeader);
    for (const status of successStatus ?? []) {
      if (!Number.isInteger(status) || status < 200 || status > 499) {
        throw new InvalidPropError(
          undefined,
          `\`successStatus\` must be statuses from 200 to 499, got ${status}`,
        );
      }
    }
    for (const status of retryStatus ?? []) {
      if (!Number.isInteger(status) || status < 400 || status > 599 || successStatus?.includes(status)) {
        throw new InvalidPropError(
          undefined,
          `\`retryStatus\` must be statuses from 400 to 599 that are not a \`successStatus\`, got ${status}`,
        );
      }
    }
    if (dataKey === '') {
      throw new InvalidPropError(undefined, '`dataKey` must not be empty: leave it out for a bare array');
    }
    return new WebhookDestination(
      { kind: 'http', url, method, headers, auth: auth?._settings, dataKey, successStatus, retryStatus },
      grantee => auth?._grant(grantee),
      auth?._secret,
      clientCertificate,
    );
  }

  /**
   * A Lambda function: each batch is one invocation with `{"webhook_id", "idempotency_key", "first_record", "request", "records"}`. It
   * may answer `{"failures": [{"index", "reason"}]}`; any other answer means that every record was taken. One that throws, times out
   * or crashes gets the batch again, with the same key, until it answers.
   *
   * @param fn the function to invoke
   */
  public static lambda(fn: lambda.IFunction): WebhookDestination {
    validateTypes(undefined, 'WebhookDestination.lambda', { fn });
    return new WebhookDestination({ kind: 'lambda', functionArn: fn.functionArn }, grantee => {
      iam.Grant.addToPrincipal({
        grantee,
        actions: ['lambda:InvokeFunction'],
        resourceArns: [fn.functionArn],
      });
    });
  }

  /**
   * An event bus: each batch is one event whose detail has `webhook_id`, `idempotency_key`, `first_record` and `records`.
   *
   * @param bus the bus
   * @param options what the events are called
   */
  public static eventBus(
    bus: events.IEventBus,
    options: EventBusDestinationOptions = {},
  ): WebhookDestination {
    validateTypes(undefined, 'WebhookDestination.eventBus', { bus, options });
    const { source = 'webhook-runner', detailType = 'Records' } = options;
    if (source.startsWith('aws.')) {
      throw new InvalidPropError(
        undefined,
        `\`source\` must not begin with "aws.", which only AWS may use, got "${source}"`,
      );
    }
    return new WebhookDestination(
      { kind: 'eventBus', eventBusName: bus.eventBusName, source, detailType },
      grantee => {
        grantPutEvents(grantee, bus, bus, source);
      },
    );
  }

  /**
   * A queue, standard or FIFO: each batch is one message, a JSON array of records.
   *
   * @param queue the queue
   */
  public static queue(queue: sqs.IQueue): WebhookDestination {
    validateTypes(undefined, 'WebhookDestination.queue', { queue });
    return new WebhookDestination({ kind: 'queue', queueUrl: queue.queueUrl }, grantee => {
      grantQueueSend(queue, grantee);
    });
  }

  /** Nowhere: records are read, checked, counted and reported. For a first dry run. */
  public static none(): WebhookDestination {
    return new WebhookDestination({ kind: 'none' }, () => undefined);
  }

  private constructor(
    /** @internal */
    public readonly _settings: DestinationSettings,
    /** @internal */
    public readonly _grant: (grantee: iam.IGrantable) => void,
    /** @internal */
    public readonly _secret?: secretsmanager.ISecret,
    /** @internal */
    public readonly _clientCertificate?: secretsmanager.ISecret,
  ) {}

  /** @internal */
  public get _maxBatchBytes(): number {
    return DESTINATION_BYTES[this._settings.kind];
  }

  /** @internal */
  public get _plainUrl(): string | undefined {
    const { _settings: settings } = this;
    if (settings.kind !== 'http') return undefined;
    const urls = [settings.url, ...(settings.auth?.kind === 'oauth2' ? [settings.auth.tokenUrl] : [])];
    return urls.find(url => url.startsWith('http:'));
  }
}

function checkUrl(name: string, url: string): void {
  if (Token.isUnresolved(url)) return;
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new InvalidPropError(undefined, `\`${name}\` must be an https URL, got ${JSON.stringify(url)}`);
  }
  const { username, password } = new URL(url);
  if (username || password) {
    throw new InvalidPropError(
      undefined,
      `\`${name}\` must not hold a user name or password: use \`auth\` with a secret`,
    );
  }
}

function checkHeader(name: string): void {
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) {
    throw new InvalidPropError(
      undefined,
      `A header's name must be one such as "X-Source", got ${JSON.stringify(name)}`,
    );
  }
  if (name.toLowerCase() === 'authorization') {
    throw new InvalidPropError(
      undefined,
      '`headers` must not hold `Authorization`: use `auth` with a secret',
    );
  }
}
