/** One run of the core against the benchmark's servers; prints its own CPU time and peak memory. */
import * as timers from 'node:timers/promises';
import { createAddressGuard } from '../lambda-src/shared/address-guard';
import { createHttpClient } from '../lambda-src/shared/guarded-http';
import { createHttpDestination } from '../lambda-src/webhook-runner/adapters/http-destination';
import { createHttpSource } from '../lambda-src/webhook-runner/adapters/http-source';
import { createStatusReporter } from '../lambda-src/webhook-runner/adapters/status-reporter';
import { newCheckpoint } from '../lambda-src/webhook-runner/core/checkpoint';
import { workOnRun } from '../lambda-src/webhook-runner/core/drive';
import { unlimitedPace } from '../lambda-src/webhook-runner/core/pace';
import { lineHandling, type RecordMapper } from '../lambda-src/webhook-runner/core/record-mapping';
import { DEFAULT_SETTINGS } from '../src/webhook-runner/contract';
import type { MappingStep } from '../src/webhook-runner/contract';

/** The same as `mapped` of the Python peer. */
const STEPS: readonly MappingStep[] = [
  { op: 'rename', from: 'user_id', to: 'userId' },
  { op: 'remove', fields: ['phone'] },
  { op: 'default', field: 'birthdate', value: 'unknown' },
  { op: 'set', field: 'type', value: 'track' },
  { op: 'fromRequest', field: 'audience', member: '/settings/audience' },
];

/** The same as a user's module. */
const MODULE: RecordMapper = ({ user_id: userId, phone: _phone, birthdate, ...record }, request) => ({
  userId,
  ...record,
  birthdate: birthdate ?? 'unknown',
  type: 'track',
  audience: (request.settings as { audience: string }).audience,
});

async function main(): Promise<void> {
  const [url, mode] = process.argv.slice(2);
  let saves = 0;
  let points = 0;
  const before = process.cpuUsage();
  const timing = {
    now: Date.now,
    sleep: (ms: number, signal?: AbortSignal) => timers.setTimeout(ms, undefined, { signal }),
    random: Math.random,
  };
  const outside = createHttpClient({
    target: {
      kind: 'untrusted',
      guard: createAddressGuard({ allowPrivateHosts: true }),
      allowedHosts: ['127.0.0.1'],
    },
    allowHttp: true,
  });
  const trusted = createHttpClient({ target: { kind: 'trusted' }, allowHttp: true });
  const end = await workOnRun(
    {
      webhookId: 'wh-bench',
      batchOffset: 0,
      settings: DEFAULT_SETTINGS,
      deadline: Infinity,
      ...lineHandling(mode === 'mapped' ? STEPS : mode === 'module' ? MODULE : undefined, {
        settings: { audience: 'gold members' },
      }),
    },
    newCheckpoint(Date.now()),
    {
      ...timing,
      source: createHttpSource(
        {
          url: `${url}/data.ndjson${mode === 'gzip' ? '.gz' : ''}`,
          retry: DEFAULT_SETTINGS.retry,
          idleTimeoutMs: 30_000,
        },
        outside,
        timing,
      ),
      destination: createHttpDestination({ url: `${url}/records` }, trusted, timing.now),
      pace: unlimitedPace(Date.now),
      save: async () => {
        saves += 1;
      },
      points: {
        load: async () => undefined,
        save: async () => {
          points += 1;
        },
        forget: async () => undefined,
      },
      reporter: createStatusReporter(
        { request: { callback_url: `${url}/status/`, webhook_id: 'wh-bench', access_token: 'token' } },
        outside,
        timing,
      ),
    },
  );
  outside.close();
  trusted.close();
  const cpu = process.cpuUsage(before);
  process.stdout.write(
    `${JSON.stringify({
      records: end.delivered,
      cpuSeconds: (cpu.user + cpu.system) / 1e6,
      peakRssMb: process.resourceUsage().maxRSS / 1024,
      saves,
      points,
    })}\n`,
  );
}

void main();
