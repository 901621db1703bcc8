/**
 * Pictures of the parts that write figures only. Each reads what its part wrote, and is left out where that
 * has another format.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { attempt, RESULTS } from './peers';
import { type Bar, bars } from './svg';

const bar = (name: string, value: number, ours: boolean): Bar => ({
  name,
  value,
  low: value,
  high: value,
  ours,
});

interface Push {
  readonly repository: string;
  readonly way: string;
  readonly cpu: number;
}
interface Delivery {
  readonly variant: string;
  readonly cpuSeconds: number;
  readonly records: number;
}
interface Extension {
  readonly name: string;
  readonly registerMs: number;
  readonly nextMs: number;
}

const PLOTS: Readonly<Record<string, (figures: never) => { title: string; rows: Bar[]; digits: number }>> = {
  'git-push-pipeline': ({ rows }: { rows: readonly Push[] }) => ({
    title: 'A push: CPU seconds',
    digits: 2,
    rows: rows
      .filter(({ way }) => !way.startsWith('eight'))
      .map(({ repository, way, cpu }) => bar(`${repository}: ${way}`, cpu, !way.startsWith('git'))),
  }),
  'webhook-runner': ({ results }: { results: readonly Delivery[] }) => ({
    title: 'A million records: CPU seconds of the client',
    digits: 1,
    rows: results.map(({ variant, cpuSeconds, records }) =>
      bar(variant, (cpuSeconds / records) * 1e6, variant.startsWith('runner')),
    ),
  }),
  'crash-reporter-layer': ({ peers }: { peers: readonly Extension[] }) => ({
    title: 'From the start of the process until it is ready: ms',
    digits: 2,
    rows: peers.map(({ name, registerMs, nextMs }) => bar(name, registerMs + nextMs, name === peers[0].name)),
  }),
};

export function drawPlot(name: string): void {
  const make = PLOTS[name];
  if (!make) return;
  attempt(`the picture of ${name}`, () => {
    const figures = JSON.parse(readFileSync(path.join(RESULTS, `${name}.json`), 'utf8')) as never;
    const { title, rows, digits } = make(figures);
    writeFileSync(path.join(RESULTS, `${name}.svg`), bars(title, rows, digits));
  });
}
