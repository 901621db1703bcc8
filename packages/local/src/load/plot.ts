/**
 * Latency over time as one HTML file without scripts: any mail client shows it, and any content security
 * policy.
 */
import type { Sample } from './attack';
import { duration } from './report';

export interface Mark {
  /** Milliseconds from the start. */
  readonly at: number;
  readonly text: string;
}

const WIDTH = 1200;
const HEIGHT = 420;
const LEFT = 70;
const BOTTOM = 40;
const TOP = 30;

/** Of many requests in one column the fastest and the slowest are drawn, so a spike is never lost. */
export function plot(
  title: string,
  samples: readonly Sample[],
  marks: readonly Mark[],
  isSuccess: (code: number) => boolean,
): string {
  const last = Math.max(1, samples.at(-1)?.due ?? 1, ...marks.map(({ at }) => at));
  const [low, high] = samples.reduce(
    ([min, max], { latency }) => [Math.min(min, latency), Math.max(max, latency)],
    [Infinity, 1],
  );
  const from = Math.floor(Math.log10(Math.max(0.1, Number.isFinite(low) ? low : 1)));
  const to = Math.max(from + 1, Math.ceil(Math.log10(high)));
  const x = (ms: number) => LEFT + (ms / last) * (WIDTH - LEFT - 10);
  const y = (ms: number) =>
    TOP + (1 - (Math.log10(Math.max(10 ** from, ms)) - from) / (to - from)) * (HEIGHT - TOP - BOTTOM);
  const columns = new Map<string, { min: number; max: number; at: number; failed: boolean }>();
  for (const { due, latency, code, error } of samples) {
    const failed = error !== undefined || !isSuccess(code);
    const at = Math.round(x(due));
    const column = columns.get(`${at}${failed}`);
    columns.set(`${at}${failed}`, {
      at,
      failed,
      min: Math.min(column?.min ?? latency, latency),
      max: Math.max(column?.max ?? latency, latency),
    });
  }
  const bars = (failed: boolean) =>
    [...columns.values()]
      .filter(column => column.failed === failed)
      .map(({ at, min, max }) => `M${at} ${(y(min) + 1).toFixed(1)}V${(y(max) - 1).toFixed(1)}`)
      .join('');
  const decades = Array.from({ length: to - from + 1 }, (_, index) => 10 ** (from + index));
  const seconds = Array.from({ length: 7 }, (_, index) => (last / 6) * index);
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>${escape(title)}</title>
<style>
:root{--bg:#fff;--ink:#1c2430;--line:#dde2e9;--ok:#2f6fdb;--bad:#c62f3a;--mark:#16845b}
@media(prefers-color-scheme:dark){:root{--bg:#12161c;--ink:#e4e9f0;--line:#2c3542;--ok:#6fa3ff;--bad:#ff6b75;--mark:#46c191}}
body{background:var(--bg);color:var(--ink);font:14px system-ui,sans-serif;margin:20px}
svg{width:100%;height:auto}text{fill:var(--ink);font-size:12px}.grid{stroke:var(--line)}
.ok{stroke:var(--ok)}.bad{stroke:var(--bad)}path{stroke-width:2;fill:none}.mark{stroke:var(--mark);stroke-dasharray:5 4}
</style>
<h1>${escape(title)}</h1>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Latency over time; failures in red">
${decades.map(ms => `<line class="grid" x1="${LEFT}" x2="${WIDTH - 10}" y1="${y(ms)}" y2="${y(ms)}"/><text x="${LEFT - 8}" y="${y(ms) + 4}" text-anchor="end">${duration(ms)}</text>`).join('\n')}
${seconds.map(ms => `<text x="${x(ms)}" y="${HEIGHT - 15}" text-anchor="middle">${duration(ms)}</text>`).join('\n')}
<path class="ok" d="${bars(false)}"/>
<path class="bad" d="${bars(true)}"/>
${marks.map(({ at, text }) => `<line class="mark" x1="${x(at)}" x2="${x(at)}" y1="${TOP - 10}" y2="${HEIGHT - BOTTOM}"/><text x="${x(at) + 4}" y="${TOP - 2}">${escape(text)}</text>`).join('\n')}
</svg>
</html>
`;
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`);
}
