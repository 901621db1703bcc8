/** What HTTP APIs and REST APIs share. */
import type { Clock } from '../../util/clock';

/** https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html, the same for both */
export const MAX_BODY_BYTES = 10 * 1024 * 1024;

/** An API, or a stage of one: where it listens and what it routes. */
export interface Listening {
  readonly name: string;
  readonly url: string;
  /** For instance `GET /hello/{user}`. */
  readonly routes: string[];
  /** The ARN of each route's function. */
  readonly targets: { route: string; target: string }[];
}

/** https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html */
export class TokenBucket {
  private tokens: number;
  private last: number;

  public constructor(
    private readonly rate: number,
    private readonly burst: number,
    private readonly clock: Clock,
  ) {
    this.tokens = burst;
    this.last = clock.now();
  }

  public take(): boolean {
    const now = this.clock.now();
    this.tokens = Math.min(this.burst, this.tokens + ((now - this.last) / 1000) * this.rate);
    this.last = now;
    if (this.tokens < 1) return false;
    this.tokens--;
    return true;
  }
}

/** The ARN of the function that an integration's URI names. */
export function functionOf(uri: unknown): string | undefined {
  return /(arn:[^:]+:lambda:[^/]+)(\/invocations)?$/.exec(String(uri))?.[1];
}

/** The promise's value, or undefined when it takes longer. */
export async function within<T>(milliseconds: number, promise: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<undefined>(resolve => {
    timer = setTimeout(() => resolve(undefined), milliseconds);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
