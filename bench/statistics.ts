export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const below = Math.floor(at);
  const above = Math.ceil(at);
  return sorted[below] + (sorted[above] - sorted[below]) * (at - below);
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

export interface Ratio {
  readonly value: number;
  /** The bounds that 95 of 100 repetitions of the same rounds would keep to. */
  readonly low: number;
  readonly high: number;
}

const RESAMPLES = 1000;

/**
 * Of the medians of two series whose values were measured in turn: rounds are drawn again in pairs
 * (bootstrap).
 */
export function ratioOf(values: readonly number[], reference: readonly number[]): Ratio {
  let state = 1;
  const next = (below: number): number => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
  const rounds = Math.min(values.length, reference.length);
  const drawn = Array.from({ length: RESAMPLES }, () => {
    const picks = Array.from({ length: rounds }, () => next(rounds));
    return median(picks.map(pick => values[pick])) / median(picks.map(pick => reference[pick]));
  });
  return {
    value: median(values) / median(reference),
    low: quantile(drawn, 0.025),
    high: quantile(drawn, 0.975),
  };
}

export function ratioText({ value, low, high }: Ratio): string {
  return `${value.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)})`;
}
