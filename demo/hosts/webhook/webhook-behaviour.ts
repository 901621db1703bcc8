/** What the demo's destination does instead of taking a batch at once. */
export interface Behaviour {
  readonly status?: number;
  readonly delayMs?: number;
  /** Cuts the connection. */
  readonly reset?: boolean;
  /** Seconds, in the header `Retry-After`. */
  readonly retryAfter?: number;
  /** For this many requests; for all where it is left out. */
  readonly times?: number;
  /** For this many seconds from now on. */
  readonly seconds?: number;
  /** Refuses batches with one of these ids among its records, with 422. */
  readonly refuse?: readonly number[];
  /** Refuses every other bearer token, with 401: the secret has a new one. */
  readonly token?: string;
}

export const BEHAVIOUR_HELP =
  'status/<code>, delay/<milliseconds>, reset, retry-after/<seconds>, refuse/<id> and times/<requests>, one after another';
const NUMBERS = { status: 'status', delay: 'delayMs', 'retry-after': 'retryAfter', times: 'times' } as const;

/**
 * `/status/503/retry-after/1/times/2` says what to do in the path itself; undefined for what makes no sense.
 */
export function behaviourOf(path: string): Behaviour | undefined {
  const behaviour: { -readonly [Key in keyof Behaviour]: Behaviour[Key] } = {};
  const words = path.split('/').filter(word => word !== '');
  while (words.length > 0) {
    const word = words.shift()!;
    if (word === 'reset') {
      behaviour.reset = true;
      continue;
    }
    const value = words.shift() ?? '';
    if (word === 'refuse' && /^\d{1,9}$/.test(value)) {
      behaviour.refuse = [...(behaviour.refuse ?? []), Number(value)];
      continue;
    }
    if (!Object.hasOwn(NUMBERS, word) || !/^\d{1,9}$/.test(value)) return undefined;
    behaviour[NUMBERS[word as keyof typeof NUMBERS]] = Number(value);
  }
  return isPossible(behaviour) ? behaviour : undefined;
}

export function isPossible(behaviour: Behaviour): boolean {
  const { status, delayMs, reset, retryAfter, times, seconds, refuse, token } = behaviour;
  const whole = (value: unknown, least: number, most: number) =>
    value === undefined ||
    (Number.isInteger(value) && (value as number) >= least && (value as number) <= most);
  return (
    whole(status, 200, 599) &&
    whole(delayMs, 0, 3_600_000) &&
    whole(retryAfter, 0, 86_400) &&
    whole(times, 1, 1e9) &&
    whole(seconds, 1, 86_400) &&
    (refuse === undefined || (Array.isArray(refuse) && refuse.every(id => whole(id, 0, 1e9)))) &&
    (token === undefined || (typeof token === 'string' && token !== '')) &&
    (reset === undefined || typeof reset === 'boolean')
  );
}
