/** A timer wakes late; a slot that is missed by more is lost. */
const TIMER_LATENESS_MS = 50;

/** How fast requests may go to a destination. Times are milliseconds since 1970. */
export interface Pace {
  /**
   * Takes the next slot if it comes before `latest`; otherwise says when it is worth asking again, and takes
   * nothing.
   */
  take(latest: number): Promise<{ readonly at: number } | { readonly notBefore: number }>;
  /** Nobody takes a slot before that time. */
  hold(until: number): Promise<void>;
}

/** As fast as the destination answers; what `hold` says binds this slice alone. */
export function unlimitedPace(now: () => number): Pace {
  let nextAt = 0;
  return {
    take: async latest => {
      const at = Math.max(now(), nextAt);
      return at < latest ? { at } : { notBefore: at };
    },
    hold: async until => {
      nextAt = Math.max(nextAt, until);
    },
  };
}

/** The slots that a run takes at once from a pace that all runs share: about a second's worth. */
export interface SharedPlaces {
  /** Slots from `at` on, `count` of them, `intervalMs` apart; or when to ask again. */
  take(
    count: number,
    spanMs: number,
    latest: number,
  ): Promise<{ readonly at: number } | { readonly notBefore: number }>;
  hold(until: number): Promise<void>;
}

/**
 * Spreads the slots of a shared pace over this slice's requests. All runs take theirs from one item, however
 * many there are: a minute never has more than it may, plus one.
 */
export function sharedPace(requestsPerMinute: number, places: SharedPlaces, now: () => number): Pace {
  const count = Math.max(1, Math.floor(requestsPerMinute / 60));
  const intervalMs = 60_000 / requestsPerMinute;
  const spanMs = Math.ceil(count * intervalMs);
  const late = Math.max(intervalMs, TIMER_LATENESS_MS);
  let own: number[] = [];
  let taking: Promise<{ readonly notBefore: number } | undefined> | undefined;
  let heldUntil = 0;

  async function refill(latest: number): Promise<{ readonly notBefore: number } | undefined> {
    const taken = await places.take(count, spanMs, latest);
    if ('notBefore' in taken) {
      return taken;
    }
    own = Array.from({ length: count }, (_, i) => taken.at + i * intervalMs);
    return undefined;
  }

  return {
    take: async latest => {
      for (;;) {
        const at = own.shift();
        if (at !== undefined) {
          if (at < heldUntil || at < now() - late) {
            continue; // from before the destination asked for a pause; they would add up to a burst
          }
          const place = Math.max(at, now());
          return place < latest ? { at: place } : { notBefore: place };
        }
        if (heldUntil >= latest) {
          return { notBefore: heldUntil };
        }
        const none = await (taking ??= refill(latest).finally(() => {
          taking = undefined;
        }));
        if (none) {
          return none;
        }
      }
    },
    hold: async until => {
      heldUntil = Math.max(heldUntil, until);
      await places.hold(until);
    },
  };
}
