import { invalidInput, Refusal } from './refusal';

/** Who calls, as far as idempotency keys and redemptions go. */
export interface Caller {
  /** Whether the request came through an API. */
  readonly http: boolean;
  /**
   * Whom the authorizer named; `''` for anonymous and direct callers. Undefined where an authorizer let
   * somebody in without saying whom: then no key can be kept apart from another's.
   */
  readonly principal: string | undefined;
  /** Milliseconds since 1970 by which there has to be an answer. */
  readonly deadline: number;
}

interface Authorizer {
  readonly jwt?: { readonly claims?: Record<string, unknown> };
  readonly claims?: Record<string, unknown>;
  readonly iam?: {
    readonly userArn?: string;
    readonly cognitoIdentity?: { readonly identityId?: string } | null;
  };
  readonly lambda?: Record<string, unknown> | null;
  readonly principalId?: unknown;
}

/** The caller that an API Gateway names, in payload format 1.0 (REST) or 2.0 (HTTP). */
export function principalOf(requestContext: {
  readonly authorizer?: object | null;
  readonly identity?: { readonly userArn?: string | null; readonly cognitoIdentityId?: string | null } | null;
}): string | undefined {
  const authorizer = requestContext.authorizer as Authorizer | null | undefined;
  const { identity } = requestContext;
  const claims = authorizer?.jwt?.claims ?? authorizer?.claims;
  const subject = claims?.sub ?? claims?.client_id;
  if (subject !== undefined) return `jwt:${String(claims?.iss ?? '')}|${String(subject)}`;
  // Everybody whom an identity pool lets in has the same role: only the pool's id for them tells them apart.
  const pooled = authorizer?.iam?.cognitoIdentity?.identityId ?? identity?.cognitoIdentityId;
  if (pooled) return `cognito:${pooled}`;
  const arn = authorizer?.iam?.userArn ?? identity?.userArn;
  if (arn) return `iam:${arn}`;
  const named = authorizer?.lambda?.principalId ?? authorizer?.principalId;
  if (typeof named === 'string' && named !== '') return `authorizer:${named}`;
  return authorizer && Object.keys(authorizer).length > 0 ? undefined : '';
}

/**
 * The hash under which a key is remembered: it means something only together with whoever sent it. Without a
 * principal it is that of the key alone, as earlier versions wrote it.
 */
export function keyHash(
  key: string,
  { principal }: Pick<Caller, 'principal'>,
  scope: string | undefined,
  sha256: (text: string) => string,
): string {
  if (principal === undefined) {
    throw new Refusal(
      'PrincipalUnknown',
      400,
      "An idempotency key cannot be kept: this API's authorizer names nobody. It must put `principalId` into its context",
    );
  }
  if (scope !== undefined && principal !== '') {
    throw invalidInput('`idempotencyScope` is for direct callers: over HTTP the authorizer names the caller');
  }
  const owner = scope === undefined ? principal : `scope:${scope}`;
  return sha256(owner === '' ? key : JSON.stringify([owner, key]));
}
