/**
 * What docs/scale.md cannot say by arithmetic: what a sudden load meets in Lambda, and how long pushes wait.
 * Nothing is measured: a model of the documented rules, with numbers drawn from a fixed seed, so that every
 * run gives the same tables. They are written into the page.
 *
 *   npx tsx bench/scale.ts
 */
import { readFileSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';

const PAGE = path.resolve(__dirname, '..', 'docs', 'scale.md');

/**
 * https://docs.aws.amazon.com/lambda/latest/dg/scaling-behavior.html: refilled all the time, and never more
 * than this.
 */
const NEW_ENVIRONMENTS = { most: 1000, everySeconds: 10 };

interface Step {
  readonly perSecond: number;
  readonly startMs: number;
  readonly warmMs: number;
  readonly accountConcurrency: number;
}

interface StepOutcome {
  readonly started: number;
  readonly refused: number;
  readonly quietAfterMs: number;
}

/**
 * A load that begins at once, evenly spread, with nothing running before it. A request finds a free
 * environment, starts one, or is refused.
 */
function step({ perSecond, startMs, warmMs, accountConcurrency }: Step): StepOutcome {
  const SECONDS = 60;
  const endOf = new Map<number, number>();
  let idle = 0;
  let running = 0;
  let started = 0;
  let refused = 0;
  let quietAfterMs = 0;
  let tokens = NEW_ENVIRONMENTS.most;
  let due = 0;
  for (let ms = 0; ms < SECONDS * 1000; ms++) {
    tokens = Math.min(
      NEW_ENVIRONMENTS.most,
      tokens + NEW_ENVIRONMENTS.most / (NEW_ENVIRONMENTS.everySeconds * 1000),
    );
    const ended = endOf.get(ms) ?? 0;
    endOf.delete(ms);
    idle += ended;
    running -= ended;
    due += perSecond / 1000;
    const arrived = Math.floor(due);
    due -= arrived;
    for (let n = 0; n < arrived; n++) {
      let takes = warmMs;
      if (idle > 0) {
        idle -= 1;
      } else if (running + idle < accountConcurrency && tokens >= 1) {
        tokens -= 1;
        started += 1;
        takes += startMs;
      } else {
        refused += 1;
        quietAfterMs = ms + 1;
        continue;
      }
      running += 1;
      endOf.set(ms + takes, (endOf.get(ms + takes) ?? 0) + 1);
    }
  }
  return { started, refused, quietAfterMs };
}

interface Pushes {
  readonly perSecond: number;
  readonly refs: number;
  readonly workers: number;
}

interface PushesOutcome {
  readonly fetches: number;
  readonly waitP50: number;
  readonly waitP95: number;
  readonly left: number;
}

const FETCH_SECONDS = 5;
/** To see that what a message asks for is stored already. */
const LOOK_SECONDS = 0.3;

/**
 * An hour of pushes to refs of which few are busy (Zipf). Each ref is a message group: one message at a
 * time, in order. A message takes whatever the ref is at when its turn comes; one that finds its push stored
 * costs a look.
 */
function pushes({ perSecond, refs, workers }: Pushes): PushesOutcome {
  let state = 1;
  const random = (): number => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
  const weights = Array.from({ length: refs }, (_, n) => 1 / (n + 1));
  const sum = weights.reduce((a, b) => a + b, 0);
  let cumulated = 0;
  const bounds = weights.map(weight => (cumulated += weight / sum));
  const pick = (): number => {
    const at = random();
    let low = 0;
    let high = refs - 1;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (bounds[middle] < at) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const HOUR = 3600;
  const queues = new Map<number, number[]>(); // arrivals by ref
  const ready: number[] = []; // refs with messages and no worker, in the order of their first message
  const busy = new Set<number>();
  const storedAt = new Map<number, number>(); // when the newest stored state of a ref was read
  const working: { readonly at: number; readonly ref: number }[] = [];
  const waits: number[] = [];
  let fetches = 0;
  let next = -Math.log(random()) / perSecond;
  let now = 0;
  const begin = (): void => {
    while (working.length < workers && ready.length > 0) {
      const ref = ready.shift()!;
      const arrivedAt = queues.get(ref)!.shift()!;
      const isStored = (storedAt.get(ref) ?? -1) >= arrivedAt;
      if (!isStored) {
        storedAt.set(ref, now);
        fetches += 1;
        waits.push(now + FETCH_SECONDS - arrivedAt);
      } else {
        waits.push(now + LOOK_SECONDS - arrivedAt);
      }
      busy.add(ref);
      working.push({ at: now + (isStored ? LOOK_SECONDS : FETCH_SECONDS), ref });
      working.sort((a, b) => a.at - b.at);
    }
  };
  while (now < HOUR) {
    if (working.length > 0 && working[0].at <= next) {
      const { at, ref } = working.shift()!;
      now = at;
      busy.delete(ref);
      if (queues.get(ref)!.length > 0) ready.push(ref);
    } else {
      now = next;
      next = now - Math.log(random()) / perSecond;
      const ref = pick();
      const queue = queues.get(ref) ?? [];
      queues.set(ref, queue);
      queue.push(now);
      if (queue.length === 1 && !busy.has(ref)) ready.push(ref);
    }
    begin();
  }
  waits.sort((a, b) => a - b);
  const left = [...queues.values()].reduce((total, { length }) => total + length, 0);
  return {
    fetches: fetches / waits.length,
    waitP50: waits[Math.floor(waits.length * 0.5)],
    waitP95: waits[Math.floor(waits.length * 0.95)],
    left,
  };
}

function tables(): string {
  const steps: Step[] = [10, 1000, 10_000].flatMap(perSecond =>
    [100, 300, 1000].map(startMs => ({ perSecond, startMs, warmMs: 10, accountConcurrency: 1000 })),
  );
  steps.push({ perSecond: 10_000, startMs: 300, warmMs: 10, accountConcurrency: 10_000 });
  const runs: Pushes[] = [
    { perSecond: 1, refs: 1000, workers: 10 },
    { perSecond: 2, refs: 1000, workers: 10 },
    { perSecond: 10, refs: 1000, workers: 10 },
    { perSecond: 10, refs: 1000, workers: 60 },
    { perSecond: 10, refs: 20, workers: 60 },
    { perSecond: 100, refs: 10_000, workers: 600 },
  ];
  return [
    '### A load that begins at once',
    '',
    `From nothing to so many requests a second of 10 ms, for a minute. Lambda starts ${NEW_ENVIRONMENTS.most} environments at once, then ${NEW_ENVIRONMENTS.most} in ${NEW_ENVIRONMENTS.everySeconds} s.`,
    '',
    '| requests a second | a start takes ms | executions at once, at most | environments started | refused | refused until |',
    '|--:|--:|--:|--:|--:|--:|',
    ...steps.map(one => {
      const { started, refused, quietAfterMs } = step(one);
      const until = refused === 0 ? '' : `${(quietAfterMs / 1000).toFixed(1)} s`;
      return `| ${[one.perSecond.toLocaleString('en'), one.startMs, one.accountConcurrency.toLocaleString('en'), started.toLocaleString('en'), refused.toLocaleString('en'), until].join(' | ')} |`;
    }),
    '',
    '### Pushes that wait for each other',
    '',
    `An hour; few refs are busy (Zipf); a fetch takes ${FETCH_SECONDS} s, a look at what is stored already ${LOOK_SECONDS} s. From the push to the zip:`,
    '',
    '| pushes a second | refs | `maxConcurrency` | fetches a push | half within s | 95 % within s | waiting after the hour |',
    '|--:|--:|--:|--:|--:|--:|--:|',
    ...runs.map(one => {
      const { fetches, waitP50, waitP95, left } = pushes(one);
      return `| ${[one.perSecond, one.refs.toLocaleString('en'), one.workers, fetches.toFixed(2), waitP50.toFixed(0), waitP95.toFixed(0), left.toLocaleString('en')].join(' | ')} |`;
    }),
  ].join('\n');
}

const BEGIN = '<!-- written by bench/scale.ts: -->';
const END = '<!-- to here -->';
const text = readFileSync(PAGE, 'utf8');
const before = text.slice(0, text.indexOf(BEGIN) + BEGIN.length);
const made = tables();
writeFileSync(PAGE, `${before}\n\n${made}\n\n${text.slice(text.indexOf(END))}`);
process.stdout.write(`${made}\n`);
