/**
 * Requests at a constant rate, whatever the answers do. Request i is due at `start + i / rate` and its
 * latency counts from then, so that neither a late generator nor a queue for connections hides what a caller
 * would have waited for (coordinated omission).
 */
import * as http from 'node:http';
import * as https from 'node:https';
import type { Target } from './targets';

export interface Sample {
  /** When it was due, in milliseconds from the start. */
  readonly due: number;
  /** How late it was sent. */
  readonly lag: number;
  /** From when it was due until the whole answer was there, or the error. */
  readonly latency: number;
  /** 0 where there was no answer. */
  readonly code: number;
  readonly error?: string;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export interface AttackOptions {
  readonly targets: readonly Target[];
  /** Requests a second. */
  readonly rate: number;
  readonly durationMs: number;
  readonly timeoutMs: number;
  readonly maxConnections: number;
  /** Ends it early: nothing more is sent, and what is under way is waited for. */
  readonly signal?: AbortSignal;
  /** It goes on after its duration until this settles. */
  readonly until?: Promise<unknown>;
  onSample?(sample: Sample): void;
}

export async function attack(options: AttackOptions): Promise<Sample[]> {
  const { targets, rate, durationMs, signal, until } = options;
  const settings = { keepAlive: true, maxSockets: options.maxConnections, scheduling: 'lifo' as const };
  const agents = { 'http:': new http.Agent(settings), 'https:': new https.Agent(settings) };
  const samples: Sample[] = [];
  const pending = new Set<Promise<void>>();
  let goesOn = until !== undefined;
  void until?.finally(() => {
    goesOn = false;
  });
  const start = performance.now();
  let next = 0;
  await new Promise<void>(resolve => {
    const tick = () => {
      const elapsed = performance.now() - start;
      for (; (next * 1000) / rate <= elapsed; next++) {
        const due = (next * 1000) / rate;
        if (signal?.aborted || (due >= durationMs && !goesOn)) return resolve();
        const target = targets[next % targets.length];
        const sent: Promise<void> = send(target, start, due, agents, options.timeoutMs).then(sample => {
          samples.push(sample);
          options.onSample?.(sample);
          pending.delete(sent);
        });
        pending.add(sent);
      }
      setTimeout(tick, Math.max(0, (next * 1000) / rate - (performance.now() - start)));
    };
    signal?.addEventListener('abort', () => resolve(), { once: true });
    tick();
  });
  await Promise.all(pending);
  for (const agent of Object.values(agents)) agent.destroy();
  return samples.sort((a, b) => a.due - b.due);
}

function send(
  { method, url, headers, body }: Target,
  start: number,
  due: number,
  agents: Record<string, http.Agent>,
  timeoutMs: number,
): Promise<Sample> {
  return new Promise(resolve => {
    const sentAt = performance.now() - start;
    const bytesOut = body?.length ?? 0;
    let [bytesIn, code] = [0, 0];
    const done = (error?: string) => {
      clearTimeout(timer);
      resolve({
        due,
        lag: sentAt - due,
        latency: performance.now() - start - due,
        code: error === undefined ? code : 0,
        error,
        bytesIn,
        bytesOut,
      });
    };
    const { protocol } = new URL(url);
    const request = (protocol === 'https:' ? https : http).request(
      url,
      {
        method,
        agent: agents[protocol],
        headers: { ...headers, ...(body && { 'content-length': bytesOut }) },
      },
      response => {
        code = response.statusCode ?? 0;
        response.on('data', (chunk: Buffer) => {
          bytesIn += chunk.length;
        });
        response.once('end', () => done());
        response.once('error', error => done(error.message));
      },
    );
    const timer = setTimeout(() => request.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    request.once('error', error => done(`${method} ${url}: ${error.message}`));
    request.end(body);
  });
}
