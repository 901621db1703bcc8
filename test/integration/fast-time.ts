import { writeFileSync } from 'node:fs';
import * as path from 'node:path';
import type { Clock } from 'cdk-localhost/clock';
import { ENV } from '../../src/webhook-runner/contract';

/** How many seconds of the runner, its queues and its functions are one of this machine's. */
const SPEED = 40;
const START = Date.now();
interface Template {
  readonly Resources?: Record<string, { Type: string; Properties?: Record<string, unknown> }>;
}

/** The time of a system that waits for minutes, and of whoever looks at it. */
export const fastClock: Clock = {
  now: () => START + (Date.now() - START) * SPEED,
  at: (time, callback) => {
    const timer = setTimeout(callback, Math.max(0, time - fastClock.now()) / SPEED);
    return () => clearTimeout(timer);
  },
};

/**
 * Makes the runner's functions live in that time, with their bundles as they are: what reads the clock,
 * sleeps between tries and renews a lease is faster. Not so the timeouts of requests, and an invocation has
 * the seconds that it is given of this machine's.
 */
export function quicken(folder: string, { Resources = {} }: Template): void {
  const file = path.join(folder, 'fast-time.cjs');
  writeFileSync(file, PRELOAD);
  for (const { Type, Properties = {} } of Object.values(Resources)) {
    if (Type !== 'AWS::Lambda::Function') continue;
    const { Variables: variables } = Properties.Environment as {
      Variables: Record<string, string | undefined>;
    };
    if (variables[ENV.queueUrl] === undefined) continue;
    variables.NODE_OPTIONS = `${variables.NODE_OPTIONS ?? ''} --require ${file}`;
  }
}

const PRELOAD = `
const machine = Date.now;
const timers = require('node:timers/promises');
const { setTimeout: sleep } = timers;
const repeat = setInterval;
Date.now = () => ${START} + Math.floor((machine() - ${START}) * ${SPEED});
timers.setTimeout = (ms, ...rest) => sleep(ms / ${SPEED}, ...rest);
globalThis.setInterval = (call, ms, ...rest) => repeat(call, ms / ${SPEED}, ...rest);
const { prototype } = require('node:http').IncomingMessage;
const { _addHeaderLine: addHeader } = prototype;
prototype._addHeaderLine = function (name, value, headers) {
  const deadline = name.toLowerCase() === 'lambda-runtime-deadline-ms';
  return addHeader.call(this, name, deadline ? String(${START} + (value - ${START}) * ${SPEED}) : value, headers);
};
`;
