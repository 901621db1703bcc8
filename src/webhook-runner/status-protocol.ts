import { DEFAULT_STATUS_PROTOCOL, type StatusProtocol as Wire } from './contract';
import { InvalidPropError } from '../shared/validate';
import { validateTypes } from '../shared/validate-types';

/**
 * How a platform expects the reports of a run. What is left out is as in `StatusProtocol.DEFAULT`.
 */
export interface StatusProtocolOptions {
  /**
   * The HTTP method: `PUT`, `POST` or `PATCH`.
   *
   * @default 'PUT'
   */
  readonly method?: string;

  /**
   * The header that carries the request's `access_token`.
   *
   * @default 'Authorization'
   */
  readonly authorizationHeader?: string;

  /**
   * What stands before the token, with a blank between them; empty for the token alone.
   *
   * @default 'Bearer'
   */
  readonly authorizationScheme?: string;

  /**
   * The header that carries the tenant.
   *
   * @default 'X-Amperity-Tenant'
   */
  readonly tenantHeader?: string;

  /**
   * The word for a run that goes on.
   *
   * @default 'running'
   */
  readonly running?: string;

  /**
   * The word for a run that came to its end.
   *
   * @default 'succeeded'
   */
  readonly succeeded?: string;

  /**
   * The word for a run that did not.
   *
   * @default 'failed'
   */
  readonly failed?: string;
}

const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/**
 * How a run is reported to the platform that sent it: `{"state", "progress", "errors", "reason"}` at
 * `{callback_url}{webhook_id}`.
 */
export class StatusProtocol {
  /**
   * `PUT` with `Authorization: Bearer …` and `X-Amperity-Tenant`; the states are `running`, `succeeded` and
   * `failed`.
   */
  public static readonly DEFAULT = new StatusProtocol(DEFAULT_STATUS_PROTOCOL);

  /**
   * Another platform's headers and words. Throws where one cannot be a header's name or a method.
   *
   * @param options what differs from `DEFAULT`
   */
  public static of(options: StatusProtocolOptions): StatusProtocol {
    validateTypes(undefined, 'StatusProtocol.of', { options });
    const { method, authorizationHeader, authorizationScheme, tenantHeader, states } =
      DEFAULT_STATUS_PROTOCOL;
    const wire: Wire = {
      method: options.method ?? method,
      authorizationHeader: options.authorizationHeader ?? authorizationHeader,
      authorizationScheme: options.authorizationScheme ?? authorizationScheme,
      tenantHeader: options.tenantHeader ?? tenantHeader,
      states: {
        running: options.running ?? states.running,
        succeeded: options.succeeded ?? states.succeeded,
        failed: options.failed ?? states.failed,
      },
    };
    if (!['PUT', 'POST', 'PATCH'].includes(wire.method)) {
      throw new InvalidPropError(undefined, `\`method\` must be PUT, POST or PATCH, got "${wire.method}"`);
    }
    for (const name of ['authorizationHeader', 'tenantHeader'] as const) {
      if (!HEADER_NAME.test(wire[name])) {
        throw new InvalidPropError(
          undefined,
          `\`${name}\` must be a header's name such as "X-Tenant", got ${JSON.stringify(wire[name])}`,
        );
      }
    }
    return new StatusProtocol(wire);
  }

  private constructor(
    /** @internal */
    public readonly _wire: Wire,
  ) {}
}
