/**
 * Who may do what: every function has an access key of its own, and a call that its synthesized role does not allow is denied.
 *
 * Only identity policies of the template count. Resource policies, permissions boundaries and the content of AWS managed
 * policies are not evaluated. An access key that belongs to no function is the developer's, who may do everything.
 */
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { evaluate, nearestStatement, type PolicyDocument, type Statement } from './evaluate';
import type { Journal } from '../../journal';
import { PSEUDO_PARAMETERS } from '../../template/intrinsics';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

export interface Call {
  /** The function that called. */
  readonly caller: string;
  readonly action: string;
  readonly resource: string;
  readonly allowed: boolean;
}

interface Principal {
  readonly name: string;
  readonly roleArn: string;
  readonly credentials?: Credentials;
  /** The invocation that runs in the environment with this access key. */
  invocation?: string;
}

type RequestContext = Record<string, string | string[]>;

/**
 * What IAM sets on every request of a function. Keys that are neither here nor set by a service count as
 * missing.
 */
const SET_BY_IAM = {
  'aws:RequestedRegion': PSEUDO_PARAMETERS['AWS::Region'],
  'aws:PrincipalAccount': PSEUDO_PARAMETERS['AWS::AccountId'],
  'aws:ResourceAccount': PSEUDO_PARAMETERS['AWS::AccountId'],
  'aws:PrincipalType': 'AssumedRole',
  'aws:SecureTransport': 'true', // every SDK speaks HTTPS to AWS
  'aws:ViaAWSService': 'false',
};

export class AccessDenied extends Error {
  public constructor(principal: Principal, action: string, resource: string) {
    super(
      `User: ${principal.roleArn.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')}/${principal.name} is not authorized to perform: ` +
        `${action} on resource: ${resource} because no identity-based policy allows the ${action} action`,
    );
    this.name = 'AccessDenied';
  }
}

export class Iam {
  private readonly policies = new Map<string, PolicyDocument[]>();
  private readonly principals = new Map<string, Principal>();
  private readonly decisions = new Map<string, boolean>();
  private readonly seen = new Map<string, Call>();
  private readonly seenByAws = new Map<string, Call>();

  public constructor(private readonly journal?: Journal) {}

  public addPolicy(roleArn: string, document: PolicyDocument): void {
    this.policies.set(roleArn, [...(this.policies.get(roleArn) ?? []), document]);
  }

  /** The identity policies of a role. */
  public policiesOf(roleArn: string): PolicyDocument[] {
    return this.policies.get(roleArn) ?? [];
  }

  /** @param environment tells several keys of one function apart */
  public createCredentials(name: string, roleArn: string, environment = ''): Credentials {
    const digest = createHash('sha256')
      .update(name + environment)
      .digest('hex');
    const accessKeyId = `ASIA${digest.slice(0, 16).toUpperCase()}`;
    const credentials = {
      accessKeyId,
      secretAccessKey: `local-${digest.slice(16, 48)}`,
      sessionToken: `local-${digest.slice(48)}`,
    };
    this.principals.set(accessKeyId, { name, roleArn, credentials });
    return credentials;
  }

  /** For a service that checks signatures itself. */
  public credentialsOf(accessKeyId: string): Credentials | undefined {
    return this.principals.get(accessKeyId)?.credentials;
  }

  /** Who signed a request; undefined where it was the developer. */
  public callerOf(
    headers: IncomingHttpHeaders,
  ): { readonly name: string; readonly roleArn: string } | undefined {
    return this.principals.get(accessKeyOf(headers) ?? '');
  }

  /** From now on, calls with this key belong to that invocation. */
  public setInvocation(accessKeyId: string, invocation: string): void {
    const principal = this.principals.get(accessKeyId);
    if (principal) principal.invocation = invocation;
  }

  /** Every different call that functions have made so far. */
  public get calls(): Call[] {
    return [...this.seen.values()];
  }

  /**
   * Every different call that AWS itself has made with functions' roles: none of them is in a function's own
   * code.
   */
  public get callsByAws(): Call[] {
    return [...this.seenByAws.values()];
  }

  /**
   * Throws AccessDenied where the role of the caller does not allow the action.
   *
   * @param context condition keys of the request, for instance `dynamodb:LeadingKeys`
   */
  public async authorize(
    headers: IncomingHttpHeaders,
    action: string,
    resource: string,
    context: RequestContext = {},
  ): Promise<void> {
    const principal = this.principals.get(accessKeyOf(headers) ?? '');
    if (!principal) return;
    const allowed = this.decideOnce(principal, action, resource, context);
    this.seen.set(JSON.stringify([principal.name, action, resource, allowed]), {
      caller: principal.name,
      action,
      resource,
      allowed,
    });
    this.journal?.record({
      kind: 'call',
      caller: principal.name,
      action,
      resource,
      allowed,
      invocation: principal.invocation,
      ...(!allowed && {
        nearest: this.nearest(principal.roleArn, action, resource),
        missing: { Effect: 'Allow', Action: action, Resource: resource },
      }),
    });
    if (!allowed) throw new AccessDenied(principal, action, resource);
  }

  /**
   * Whether the caller may do that, where an answer depends on it. It is not a call and does not count among
   * `calls`.
   */
  public async allows(headers: IncomingHttpHeaders, action: string, resource: string): Promise<boolean> {
    const principal = this.principals.get(accessKeyOf(headers) ?? '');
    return !principal || this.decideOnce(principal, action, resource, {});
  }

  /**
   * Like `authorize`, for calls that AWS itself makes with a function's role, such as those of its SQS
   * poller.
   */
  public async authorizeAws(name: string, roleArn: string, action: string, resource: string): Promise<void> {
    const principal = { name, roleArn };
    const allowed = this.decideOnce(principal, action, resource, {});
    this.seenByAws.set(JSON.stringify([name, action, resource]), { caller: name, action, resource, allowed });
    if (!allowed) throw new AccessDenied(principal, action, resource);
  }

  /**
   * The statement of a role that comes closest to allowing the action: same action, other resource or
   * condition.
   */
  public nearest(roleArn: string, action: string, resource: string): Statement | undefined {
    return nearestStatement(this.policiesOf(roleArn), { action, resource });
  }

  private decideOnce(
    { roleArn }: Principal,
    action: string,
    resource: string,
    context: RequestContext,
  ): boolean {
    const request = { action, resource, context: { ...SET_BY_IAM, ...context } };
    const decide = () => evaluate(this.policiesOf(roleArn), request).allowed;
    if (Object.keys(context).length > 0) return decide(); // keys of items: too many to keep
    const key = JSON.stringify([roleArn, action, resource]);
    const decision = this.decisions.get(key) ?? decide();
    this.decisions.set(key, decision);
    return decision;
  }
}

function accessKeyOf(headers: IncomingHttpHeaders): string | undefined {
  return /Credential=([^/]+)\//.exec(headers.authorization ?? '')?.[1];
}
