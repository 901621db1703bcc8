/** The figures of an attack, in the layout of vegeta's text report. https://github.com/tsenart/vegeta#report */
import { STATUS_CODES } from 'node:http';
import type { Sample } from './attack';

export interface Figures {
  readonly requests: number;
  /** Sent a second, and answered well a second. */
  readonly rate: number;
  readonly throughput: number;
  /** In milliseconds: from the first request sent to the last, and from that to the last answer. */
  readonly attack: number;
  readonly wait: number;
  readonly latencies: Readonly<Record<'min' | 'mean' | 'p50' | 'p90' | 'p95' | 'p99' | 'max', number>>;
  readonly lagP99: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** From 0 to 1. */
  readonly success: number;
  readonly codes: Readonly<Record<string, number>>;
  readonly errors: readonly string[];
}

const MAX_ERRORS = 20;

/** @param isSuccess by status code; 0 is no answer */
export function figuresOf(samples: readonly Sample[], isSuccess: (code: number) => boolean): Figures {
  const latencies = Float64Array.from(samples, ({ latency }) => latency).sort();
  const lags = Float64Array.from(samples, ({ lag }) => lag).sort();
  const sum = (of: (sample: Sample) => number) => samples.reduce((total, sample) => total + of(sample), 0);
  const max = (of: (sample: Sample) => number) =>
    samples.reduce((most, sample) => Math.max(most, of(sample)), 0);
  const attack =
    max(({ due, lag }) => due + lag) - (samples.length > 0 ? samples[0].due + samples[0].lag : 0);
  const wait = Math.max(0, max(({ due, latency }) => due + latency) - max(({ due, lag }) => due + lag));
  const successes = samples.filter(({ code }) => isSuccess(code)).length;
  const codes: Record<string, number> = {};
  for (const { code } of samples) codes[code] = (codes[code] ?? 0) + 1;
  const failures = samples.filter(({ code, error }) => error !== undefined || !isSuccess(code));
  const errors = new Set(
    failures.map(({ code, error }) => error ?? `${code} ${STATUS_CODES[code] ?? ''}`.trim()),
  );
  return {
    requests: samples.length,
    rate: attack > 0 ? (samples.length * 1000) / attack : samples.length, // as vegeta counts it
    throughput: attack + wait > 0 ? (successes * 1000) / (attack + wait) : 0,
    attack,
    wait,
    latencies: {
      min: latencies[0] ?? 0,
      mean: samples.length > 0 ? sum(({ latency }) => latency) / samples.length : 0,
      p50: nearestRank(latencies, 50),
      p90: nearestRank(latencies, 90),
      p95: nearestRank(latencies, 95),
      p99: nearestRank(latencies, 99),
      max: latencies.at(-1) ?? 0,
    },
    lagP99: nearestRank(lags, 99),
    bytesIn: sum(({ bytesIn }) => bytesIn),
    bytesOut: sum(({ bytesOut }) => bytesOut),
    success: samples.length > 0 ? successes / samples.length : 0,
    codes,
    errors: [...errors].slice(0, MAX_ERRORS),
  };
}

export function textReport(figures: Figures): string {
  const { requests, rate, throughput, attack, wait, latencies, bytesIn, bytesOut, success, codes, errors } =
    figures;
  const line = (label: string, keys: string, values: string) =>
    `${label.padEnd(14)}${keys.padEnd(34)}${values}`;
  const mean = (bytes: number) => (requests > 0 ? bytes / requests : 0).toFixed(2);
  const { min, mean: average, p50, p90, p95, p99, max } = latencies;
  return [
    line(
      'Requests',
      '[total, rate, throughput]',
      `${requests}, ${rate.toFixed(2)}, ${throughput.toFixed(2)}`,
    ),
    line('Duration', '[total, attack, wait]', [attack + wait, attack, wait].map(duration).join(', ')),
    line(
      'Latencies',
      '[min, mean, 50, 90, 95, 99, max]',
      [min, average, p50, p90, p95, p99, max].map(duration).join(', '),
    ),
    line('Bytes In', '[total, mean]', `${bytesIn}, ${mean(bytesIn)}`),
    line('Bytes Out', '[total, mean]', `${bytesOut}, ${mean(bytesOut)}`),
    line('Success', '[ratio]', `${(success * 100).toFixed(2)}%`),
    line(
      'Status Codes',
      '[code:count]',
      Object.entries(codes)
        .map(([code, count]) => `${code}:${count}  `)
        .join(''),
    ),
    'Error Set:',
    ...errors,
    '',
  ].join('\n');
}

/** As Go writes it, three places of the unit: `1m0.5s`, `1.038s`, `93.297ms`. */
export function duration(ms: number): string {
  if (ms >= 60_000) {
    const minutes = Math.floor(ms / 60_000);
    return `${minutes}m${trim((ms - minutes * 60_000) / 1000)}s`;
  }
  if (ms >= 1000) return `${trim(ms / 1000)}s`;
  return ms >= 1 ? `${trim(ms)}ms` : `${trim(ms * 1000)}µs`;
}

function trim(value: number): string {
  return String(Number(value.toFixed(3)));
}

/** @param sorted ascending */
function nearestRank(sorted: Float64Array, percent: number): number {
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? 0;
}
