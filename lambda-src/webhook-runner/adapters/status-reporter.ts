import type {
  RetryPolicy,
  RunRequest,
  RunStatus,
  StatusProtocol,
} from '../../../src/webhook-runner/contract';
import { DEFAULT_STATUS_PROTOCOL } from '../../../src/webhook-runner/contract';
import type { Timing } from '../../shared/clock';
import type { HttpClient } from '../../shared/guarded-http';
import { HttpRequestError } from '../../shared/guarded-http';
import { backoffDelay } from '../core/backoff';
import type { Effort, Report, Reporter } from '../core/ports';
import { statusUrl } from '../core/run-request';

export interface StatusReporterOptions {
  readonly request: Pick<RunRequest, 'callback_url' | 'webhook_id' | 'access_token' | 'tenant_id'>;
  readonly protocol?: StatusProtocol;
  readonly tenantId?: string;
  readonly efforts?: { readonly [Key in Effort]: RetryPolicy };
}

const EFFORTS: { readonly [Key in Effort]: RetryPolicy } = {
  first: { maxAttempts: 6, baseDelayMs: 500, maxDelayMs: 10_000 },
  heartbeat: { maxAttempts: 3, baseDelayMs: 500, maxDelayMs: 2_000 },
  terminal: { maxAttempts: 12, baseDelayMs: 1_000, maxDelayMs: 20_000 },
};
const RETRIED_STATUS = new Set([408, 429, 502, 503, 504]);

export function createStatusReporter(
  options: StatusReporterOptions,
  client: HttpClient,
  timing: Timing,
): Reporter {
  const { request, protocol = DEFAULT_STATUS_PROTOCOL, efforts = EFFORTS } = options;
  const tenant = request.tenant_id ?? options.tenantId;
  const headers = {
    'Content-Type': 'application/json',
    ...(tenant === undefined ? {} : { [protocol.tenantHeader]: tenant }),
    [protocol.authorizationHeader]: `${protocol.authorizationScheme} ${request.access_token}`.trim(),
  };

  /** `true`: taken; `false`: refused for good; `undefined`: another try may help. */
  async function put(report: Report, signal: AbortSignal | undefined): Promise<boolean | undefined> {
    const status: RunStatus = {
      state: protocol.states[report.state === 'cancelled' ? 'failed' : report.state],
      progress: report.progress,
      errors: report.errors.slice(0, 10),
      reason: report.reason,
    };
    try {
      const body = [Buffer.from(JSON.stringify(status))];
      const response = await client.request({
        method: protocol.method,
        url: statusUrl(request),
        headers,
        body,
        signal,
      });
      return RETRIED_STATUS.has(response.status)
        ? undefined
        : response.status >= 200 && response.status < 300;
    } catch (error) {
      signal?.throwIfAborted();
      return error instanceof HttpRequestError && error.retriable ? undefined : false;
    }
  }

  return {
    report: async (report, effort, signal) => {
      const policy = efforts[effort];
      for (let attempt = 1; ; attempt += 1) {
        const taken = await put(report, signal);
        if (taken !== undefined || attempt >= policy.maxAttempts) {
          return taken ?? false;
        }
        await timing.sleep(backoffDelay(policy, attempt, timing.random), signal);
      }
    },
  };
}
