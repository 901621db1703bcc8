import { Callback, FileHost, serve, Sink } from './servers';
import type { LocalServer } from './servers';
import { createAddressGuard } from '../../lambda-src/shared/address-guard';
import { createHttpClient } from '../../lambda-src/shared/guarded-http';
import type { HttpClient, HttpStream } from '../../lambda-src/shared/guarded-http';
import { createHttpDestination } from '../../lambda-src/webhook-runner/adapters/http-destination';
import type { HttpDestinationOptions } from '../../lambda-src/webhook-runner/adapters/http-destination';
import { createHttpSource } from '../../lambda-src/webhook-runner/adapters/http-source';
import { createStatusReporter } from '../../lambda-src/webhook-runner/adapters/status-reporter';
import type { HttpAuth } from '../../lambda-src/webhook-runner/core/auth-secret';
import type { FailedRecord } from '../../lambda-src/webhook-runner/core/batch';
import { newCheckpoint } from '../../lambda-src/webhook-runner/core/checkpoint';
import { isOver, workOnRun } from '../../lambda-src/webhook-runner/core/drive';
import type { InflatePoint } from '../../lambda-src/webhook-runner/core/inflate';
import { type Pace, unlimitedPace } from '../../lambda-src/webhook-runner/core/pace';
import type { SlicePorts } from '../../lambda-src/webhook-runner/core/ports';
import { lineHandling } from '../../lambda-src/webhook-runner/core/record-mapping';
import type { RecordMapper } from '../../lambda-src/webhook-runner/core/record-mapping';
import type { SliceOptions } from '../../lambda-src/webhook-runner/core/slice';
import { DEFAULT_SETTINGS } from '../../src/webhook-runner/contract';
import type { Checkpoint, MappingStep, RunnerSettings } from '../../src/webhook-runner/contract';

export interface Setup {
  readonly content: string | Buffer;
  readonly settings?: Partial<RunnerSettings>;
  readonly destination?: Partial<Omit<HttpDestinationOptions, 'auth'>> & { readonly auth?: HttpAuth };
  readonly mapping?: RecordMapper | readonly MappingStep[];
  readonly batchOffset?: number;
  readonly query?: string;
  readonly idleTimeoutMs?: number;
  readonly destinationTimeoutMs?: number;
}

/** A run against real servers on localhost, with a clock that the test moves and waits that take no time. */
export class Harness {
  public static async create(setup: Setup): Promise<Harness> {
    const harness = new Harness(setup);
    await harness.start();
    return harness;
  }

  public static async use<T>(setup: Setup, run: (harness: Harness) => Promise<T>): Promise<T> {
    const harness = await Harness.create(setup);
    try {
      return await run(harness);
    } finally {
      await harness.close();
    }
  }

  public readonly host: FileHost;
  public readonly sink = new Sink();
  public readonly callback = new Callback();
  public time = 1_700_000_000_000;
  public readonly sleeps: number[] = [];
  public saved: Checkpoint[] = [];
  /** In the order in which they were kept. */
  public readonly failed: FailedRecord[] = [];
  public pace: Pace = unlimitedPace(() => this.time);
  /** Where a gzip file can be taken up again. */
  public points: InflatePoint[] = [];
  /** What the file's host answers, on its way to the source. */
  public throughNetwork: ((stream: HttpStream) => HttpStream) | undefined;
  public onSave: ((checkpoint: Checkpoint) => void) | undefined;
  public destinationUrl!: string;
  private servers: LocalServer[] = [];
  private clients: HttpClient[] = [];
  private ports!: SlicePorts;
  private deadlineAfter = Infinity;

  private constructor(private readonly setup: Setup) {
    this.host = new FileHost(setup.content);
  }

  public get settings(): RunnerSettings {
    return {
      ...DEFAULT_SETTINGS,
      allowedHosts: ['127.0.0.1'],
      allowPrivateHosts: true,
      allowHttp: true,
      ...this.setup.settings,
    };
  }

  public newCheckpoint(): Checkpoint {
    return newCheckpoint(this.time);
  }

  public advance(checkpoint: Checkpoint, options: Partial<SliceOptions> = {}): Promise<Checkpoint> {
    return workOnRun(
      {
        webhookId: 'wh-1',
        batchOffset: this.setup.batchOffset ?? 0,
        settings: this.settings,
        deadline: Infinity,
        ...lineHandling(this.setup.mapping, {
          label_name: 'läbel',
          settings: { audience: 'Gold 😀' },
        }),
        ...options,
      },
      checkpoint,
      this.ports,
    );
  }

  /**
   * Slices until the run is over; with `batchesPerSlice` a slice's deadline comes after that many deliveries.
   */
  public async toEnd(batchesPerSlice = Infinity, options: Partial<SliceOptions> = {}): Promise<Checkpoint> {
    let checkpoint = this.newCheckpoint();
    for (let slices = 0; !isOver(checkpoint); slices += 1) {
      if (slices > 10_000) throw new Error('the run does not end');
      this.time = Math.max(this.time, checkpoint.notBefore ?? 0);
      checkpoint = await this.slice(checkpoint, batchesPerSlice, options);
    }
    return checkpoint;
  }

  /** One slice, whose deadline comes after that many deliveries; its checkpoint is what the next one is sent. */
  public async slice(
    checkpoint: Checkpoint,
    batches = Infinity,
    options: Partial<SliceOptions> = {},
  ): Promise<Checkpoint> {
    this.deadlineAfter = batches;
    const limits = batches === Infinity ? options : { deadline: this.time + 1, ...options };
    return JSON.parse(JSON.stringify(await this.advance(checkpoint, limits))) as Checkpoint;
  }

  private async start(): Promise<void> {
    const [host, sink, callback] = await Promise.all([
      serve(this.host.handle),
      serve(this.sink.handle),
      serve(this.callback.handle),
    ]);
    this.servers = [host, sink, callback];
    this.destinationUrl = sink.url;
    const guard = createAddressGuard({ allowPrivateHosts: true });
    const outside = createHttpClient({
      target: { kind: 'untrusted', guard, allowedHosts: ['127.0.0.1'] },
      allowHttp: true,
      maxRedirects: 3,
      overallTimeoutMs: this.setup.idleTimeoutMs,
    });
    const trusted = createHttpClient({
      target: { kind: 'trusted' },
      allowHttp: true,
      overallTimeoutMs: this.setup.destinationTimeoutMs,
    });
    this.clients = [outside, trusted];
    const timing = {
      now: () => this.time,
      sleep: async (ms: number, signal?: AbortSignal) => {
        signal?.throwIfAborted();
        this.sleeps.push(ms);
        this.time += ms;
        await new Promise(resolve => setImmediate(resolve));
        signal?.throwIfAborted();
      },
      random: () => 0.5,
    };
    const { auth } = this.setup.destination ?? {};
    const destination = createHttpDestination(
      {
        url: `${sink.url}/records`,
        ...this.setup.destination,
        auth: auth && (async () => auth),
      },
      trusted,
      timing.now,
    );
    this.ports = {
      ...timing,
      source: createHttpSource(
        {
          url: `${host.url}/data.ndjson${this.setup.query ?? ''}`,
          retry: this.settings.retry,
          idleTimeoutMs: this.setup.idleTimeoutMs ?? 5_000,
        },
        {
          ...outside,
          stream: async request => {
            const stream = await outside.stream(request);
            return this.throughNetwork?.(stream) ?? stream;
          },
        },
        timing,
      ),
      failedRecords: {
        write: async records => {
          this.failed.push(...records);
        },
      },
      pace: { take: latest => this.pace.take(latest), hold: until => this.pace.hold(until) },
      destination: {
        bisects: destination.bisects,
        overheadBytes: destination.overheadBytes,
        deliver: async (batch, signal) => {
          const result = await destination.deliver(batch, signal);
          this.deadlineAfter -= 1;
          if (this.deadlineAfter === 0) {
            this.time += 1;
          }
          return result;
        },
      },
      reporter: createStatusReporter(
        {
          request: {
            callback_url: `${callback.url}/webhook/v1/`,
            webhook_id: 'wh-1',
            access_token: 'token-1',
            tenant_id: 'tenant-1',
          },
        },
        outside,
        timing,
      ),
      points: {
        load: async () => this.points.at(-1),
        save: async point => {
          this.points.push(point);
        },
        forget: async () => undefined,
      },
      save: async checkpoint => {
        this.saved.push(checkpoint);
        this.onSave?.(checkpoint);
      },
    };
  }

  public async close(): Promise<void> {
    this.clients.forEach(client => client.close());
    await Promise.all(this.servers.map(server => server.close()));
  }
}

export function ndjson(count: number, pad = 0): string {
  return Array.from(
    { length: count },
    (_, i) => `{"id":${i},"name":"n${i}"${pad ? `,"pad":"${'x'.repeat(pad)}"` : ''}}\n`,
  ).join('');
}
