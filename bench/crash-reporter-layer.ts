/**
 * What the crash reporter's extension costs a function, through the emulated Lambda with the layer as it
 * ships. Its own calls of the Extensions API are timed where Lambda sees them, so starting a process by
 * Node.js is included. CPU is that of the extension alone. Then the same extension beside others, see
 * crash-reporter-peers.ts: ratios within one run, which a loaded machine does not spoil.
 *
 *   npx projen bench:crash-reporter-layer
 */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import * as path from 'node:path';
import { readZip } from 'cdk-localhost/zip';
import { measurePeers, OURS, type Peers } from './crash-reporter-peers';
import { RESULTS } from './peers';
import { ROOT } from '../demo/example/synth';
import { LAYER_ZIPS } from '../scripts/build-extension';
import {
  createWorkbench,
  type Scripted,
  type ScriptedOptions,
  startScripted,
  type Workbench,
} from '../test/crash-reporter-layer/environment';

interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly target: string;
}

const STARTS = 15;
const INVOCATIONS = 400;
const HELD_INVOCATIONS = 60;
const SHUTDOWNS = 9;
const FLOOD = { bytesPerSecond: 10_000_000, seconds: 3 };
/** Longer than the extension takes to settle after a start. */
const SETTLE_MS = 300;

async function withEnvironment<T>(
  workbench: Workbench,
  options: ScriptedOptions,
  measure: (scripted: Scripted) => Promise<T>,
): Promise<T> {
  const scripted = await startScripted(workbench, options);
  try {
    return await measure(scripted);
  } finally {
    await scripted.stop();
  }
}

function sizes(): Figure[] {
  return LAYER_ZIPS.flatMap(zip => {
    const file = path.join(ROOT, 'assets', zip);
    const architecture = path.basename(zip, '.zip');
    return [
      {
        name: `binary, ${architecture}`,
        value: readZip(readFileSync(file))[0].data.length / 1e6,
        unit: 'MB',
        target: '≤ 6.0',
      },
      { name: `layer zip, ${architecture}`, value: statSync(file).size / 1e6, unit: 'MB', target: '≤ 2.8' },
    ];
  });
}

async function starts(workbench: Workbench): Promise<Figure[]> {
  const registers: number[] = [];
  const nexts: number[] = [];
  const resident: number[] = [];
  const own: number[] = [];
  for (let run = 0; run < STARTS; run++) {
    const times: Record<string, number> = {};
    await withEnvironment(
      workbench,
      {
        onLifecycle: what => {
          times[what] ??= performance.now();
        },
      },
      async ({ invoke, environment }) => {
        await invoke({ respond: 1 });
        process.kill(environment.extensionPids[0], 'SIGCONT'); // it is frozen, and has more to read
        await pause();
        resident.push(memory(environment.extensionPids[0], 'smaps_rollup', 'Rss'));
        own.push(memory(environment.extensionPids[0], 'smaps_rollup', 'Pss_Anon'));
      },
    );
    registers.push(times.register - times.exec);
    nexts.push(times.next - times.register);
  }
  return [
    { name: 'exec to register', value: median(registers), unit: 'ms', target: '≤ 8' },
    { name: 'register to first next', value: median(nexts), unit: 'ms', target: '≤ 15' },
    { name: 'idle RSS', value: median(resident), unit: 'MB', target: '< 8' },
    { name: 'idle, of which private', value: median(own), unit: 'MB', target: '' },
  ];
}

function cpuPerInvocation(workbench: Workbench, lines: number, target: string): Promise<Figure> {
  return withEnvironment(workbench, {}, async ({ invoke, environment }) => {
    const steps = [
      ...Array.from({ length: lines }, () => ({
        record: '2026-11-21T02:30:00.000Z\tr1\tINFO\tsomething ordinary happened to order 12345\n',
      })),
      { respond: 1 },
    ];
    await invoke(...steps);
    const [pid] = environment.extensionPids;
    const before = cpuMs(pid);
    for (let index = 0; index < INVOCATIONS; index++) await invoke(...steps);
    return {
      name: `CPU per healthy invocation, ${lines} log lines`,
      value: (cpuMs(pid) - before) / INVOCATIONS,
      unit: 'ms',
      target,
    };
  });
}

/** From the runtime's end to the environment's: what an extension adds to the billed time. */
function timeAdded(workbench: Workbench, mode: 'crash' | 'errors', target: string): Promise<Figure[]> {
  const added: number[] = [];
  let doneAt = 0;
  const onEvent = ({ type }: { type: string }) => {
    if (type === 'platform.runtimeDone') doneAt = performance.now();
    if (type === 'platform.report') added.push(performance.now() - doneAt);
  };
  return withEnvironment(
    workbench,
    { env: { CRASH_REPORTER_MODE: mode }, telemetry: { onEvent } },
    async ({ invoke }) => {
      for (let index = 0; index < HELD_INVOCATIONS; index++) await invoke({ respond: 1 });
      const sorted = [...added].sort((a, b) => a - b);
      return [
        { name: `time added to an invocation, ${mode} mode`, value: median(added), unit: 'ms', target },
        {
          name: `the same, 95th percentile, ${mode} mode`,
          value: sorted[Math.floor(sorted.length * 0.95)],
          unit: 'ms',
          target,
        },
      ];
    },
  );
}

function flood(workbench: Workbench): Promise<Figure[]> {
  return withEnvironment(workbench, { timeoutSeconds: 60 }, async ({ invoke, environment, telemetry }) => {
    await invoke({ respond: 1 });
    const [pid] = environment.extensionPids;
    const [before, began] = [cpuMs(pid), performance.now()];
    await invoke({ flood: FLOOD });
    const seconds = (performance.now() - began) / 1000;
    const bytes = telemetry.reduce(
      (sum, { type, record }) => (type === 'function' ? sum + String(record).length : sum),
      0,
    );
    return [
      { name: 'log lines taken', value: bytes / 1e6 / seconds, unit: 'MB/s', target: '10' },
      { name: 'peak RSS meanwhile', value: memory(pid, 'status', 'VmHWM'), unit: 'MB', target: '< 20' },
      { name: 'CPU meanwhile', value: (cpuMs(pid) - before) / seconds / 10, unit: '% of one', target: '' },
    ];
  });
}

async function shutdowns(workbench: Workbench): Promise<Figure[]> {
  const [delivered, reset, quiet]: number[][] = [[], [], []];
  for (let run = 0; run < SHUTDOWNS; run++) {
    let [toldAt, endedAt] = [0, 0];
    const onLifecycle = (what: string) => {
      if (what === 'event') toldAt = performance.now();
      if (what === 'exit') endedAt = performance.now();
    };
    await withEnvironment(workbench, { onLifecycle }, async ({ invoke, sink }) => {
      await invoke({ respond: 1 });
      const arrived = sink.wait(1).then(() => performance.now());
      await invoke({ exit: 1 });
      delivered.push((await arrived) - toldAt);
      reset.push(endedAt - toldAt);
    });
    await withEnvironment(workbench, { onLifecycle }, async ({ invoke, environment }) => {
      await invoke({ respond: 1 });
      process.kill(environment.extensionPids[0], 'SIGCONT');
      await pause();
      await environment.stop();
      quiet.push(endedAt - toldAt);
    });
  }
  return [
    { name: 'SHUTDOWN after a crash to delivered', value: median(delivered), unit: 'ms', target: '≤ 450' },
    { name: 'SHUTDOWN after a crash to exit', value: median(reset), unit: 'ms', target: '≤ 1700' },
    { name: 'SHUTDOWN with nothing pending to exit', value: median(quiet), unit: 'ms', target: '≤ 5' },
  ];
}

/** The CPU time of all threads, from the scheduler: ticks would be too coarse. */
function cpuMs(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).reduce(
    (sum, task) =>
      sum + Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]) / 1e6,
    0,
  );
}

function memory(pid: number, file: string, field: string): number {
  return (
    (Number(
      new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/${file}`, 'utf8'))![1],
    ) *
      1024) /
    1e6
  );
}

function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

function pause(): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, SETTLE_MS));
}

/** What the design promises of one run. */
function promises({ peers, peakWithMapMB, peakWithoutMapMB }: Peers): Figure[] {
  const ours = peers.find(({ name }) => name === OURS)!;
  return [
    ...peers
      .filter(peer => peer !== ours)
      .map(({ name, registerMs }) => ({
        name: `exec to register, to ${name}`,
        value: ours.registerMs / registerMs,
        unit: '',
        target: '≤ 1.05',
      })),
    {
      name: 'peak memory that a source map of 30 MB adds',
      value: peakWithMapMB - peakWithoutMapMB,
      unit: 'MB',
      target: '≤ 2',
    },
  ];
}

function peerTable({ peers }: Peers): string[] {
  return [
    '',
    'Beside others, 25 starts in turns, medians:',
    '',
    '| | bytes, MB | exec to register, ms | register to next, ms | idle RSS, MB | of it private, MB | CPU of a healthy invocation, ms |',
    '|---|---|---|---|---|---|---|',
    ...peers.map(
      ({ name, megabytes, registerMs, nextMs, idleMB, privateMB, invocationMs }) =>
        `| ${name} | ${[megabytes, registerMs, nextMs, idleMB, privateMB, invocationMs].map(value => value.toFixed(2)).join(' | ')} |`,
    ),
    '',
  ];
}

async function main(): Promise<void> {
  const workbench = createWorkbench();
  const figures = sizes();
  const peers = measurePeers();
  figures.push(...promises(peers));
  try {
    figures.push(...(await starts(workbench)));
    figures.push(await cpuPerInvocation(workbench, 0, '≤ 0.3'), await cpuPerInvocation(workbench, 20, '≤ 1'));
    figures.push(
      ...(await timeAdded(workbench, 'crash', '0')),
      ...(await timeAdded(workbench, 'errors', '≤ 40 (p95)')),
    );
    figures.push(...(await flood(workbench)), ...(await shutdowns(workbench)));
  } finally {
    await workbench.stop();
  }
  const table = [
    `Linux ${process.arch}, Node.js ${process.version}, load ${loadavg()[0].toFixed(1)} at the end, medians; ${STARTS} starts, ${INVOCATIONS} invocations, ${SHUTDOWNS} shutdowns. 25 ms of errors mode are Lambda's own buffer.`,
    '',
    '| figure | measured | unit | target |',
    '|---|---|---|---|',
    ...figures.map(
      ({ name, value, unit, target }) => `| ${name} | ${value.toFixed(2)} | ${unit} | ${target} |`,
    ),
    ...peerTable(peers),
  ].join('\n');
  const folder = RESULTS;
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    path.join(folder, 'crash-reporter-layer.json'),
    `${JSON.stringify({ figures, ...peers }, undefined, 2)}\n`,
  );
  writeFileSync(path.join(folder, 'crash-reporter-layer.md'), table);
  process.stdout.write(table);
}

void main();
