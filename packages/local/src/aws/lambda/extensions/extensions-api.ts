/**
 * The Extensions API for one life of an execution environment.
 * https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html
 */
import { randomUUID } from 'node:crypto';
import type * as http from 'node:http';
import { readBody } from '../../../util/server';
import type { FunctionConfig } from '../function-config';

type EventType = 'INVOKE' | 'SHUTDOWN';

export interface Agent {
  readonly name: string;
  readonly id: string;
  readonly events: readonly EventType[];
  queue: object[];
  waiting?: http.ServerResponse;
}

export type Lifecycle = 'exec' | 'register' | 'next' | 'event' | 'exit';

export interface ExtensionsApiOptions {
  readonly config: FunctionConfig;
  /** The file names in /opt/extensions: only these may register. */
  readonly names: readonly string[];
  /** Lambda Managed Instances refuse INVOKE. */
  readonly managedInstances?: boolean;
  readonly onLifecycle?: (what: Lifecycle, name: string) => void;
  readonly accountId: string;
}

const MAX_EXTENSIONS = 10;

export class ExtensionsApi {
  public readonly agents = new Map<string, Agent>();
  private readonly watchers: { readonly isMet: () => boolean; readonly resolve: () => void }[] = [];
  private asked = new Set<string>();

  public constructor(private readonly options: ExtensionsApiOptions) {}

  /** Settles when every extension has registered: only then does Lambda start the runtime. */
  public registered(): Promise<void> {
    return this.when(() => this.agents.size === this.options.names.length);
  }

  /** Settles when every extension has asked for its first event: only then does the init phase end. */
  public initialized(): Promise<void> {
    return this.when(() => this.asked.size === this.options.names.length);
  }

  /** Settles when every extension that gets INVOKE events has finished with the last one. */
  public done(): Promise<void> {
    return this.when(() =>
      this.subscribers('INVOKE').every(({ waiting, queue }) => waiting && queue.length === 0),
    );
  }

  public subscribers(type: EventType): Agent[] {
    return [...this.agents.values()].filter(({ events }) => events.includes(type));
  }

  public invoke(requestId: string, deadlineMs: number, traceId: string): void {
    const { arn } = this.options.config;
    this.send('INVOKE', {
      eventType: 'INVOKE',
      deadlineMs,
      requestId,
      invokedFunctionArn: arn,
      tracing: { type: 'X-Amzn-Trace-Id', value: traceId },
    });
  }

  public shutdown(shutdownReason: string, deadlineMs: number): void {
    this.send('SHUTDOWN', { eventType: 'SHUTDOWN', shutdownReason, deadlineMs });
  }

  public async serve(
    resource: string,
    request: http.IncomingMessage,
    response: http.ServerResponse,
  ): Promise<void> {
    if (resource === 'POST register') return this.register(request, response);
    const agent = this.identify(request);
    if (!agent) return refuse(response, 403, 'Extension.UnknownExtensionIdentifier', 'No such extension');
    if (resource === 'GET event/next') return this.next(agent, response);
    if (resource === 'POST init/error' || resource === 'POST exit/error') {
      return answer(response, 202, { status: 'OK' });
    }
    return refuse(response, 404, 'NotFound', `No such call: ${resource}`);
  }

  public identify(request: http.IncomingMessage): Agent | undefined {
    return this.agents.get(String(request.headers['lambda-extension-identifier'] ?? ''));
  }

  private async register(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const name = String(request.headers['lambda-extension-name'] ?? '');
    const { config, names, managedInstances, onLifecycle, accountId } = this.options;
    let body: { events?: unknown; configurationKeys?: unknown[] };
    try {
      body = JSON.parse((await readBody(request)).toString('utf8') || '{}') as typeof body;
    } catch {
      return refuse(response, 403, 'InvalidRequestFormat', 'The body is not JSON');
    }
    const events = Array.isArray(body.events) ? (body.events as EventType[]) : [];
    if (!names.includes(name)) {
      return refuse(response, 403, 'Extension.InvalidExtensionName', `No file ${name} in /opt/extensions`);
    }
    if ([...this.agents.values()].some(agent => agent.name === name)) {
      return refuse(response, 403, 'Extension.InvalidExtensionState', `${name} has registered`);
    }
    if (this.agents.size >= MAX_EXTENSIONS) {
      return refuse(response, 403, 'Extension.TooManyExtensions', `At most ${MAX_EXTENSIONS} extensions`);
    }
    if (body.configurationKeys?.length) {
      return refuse(response, 403, 'InvalidRequestFormat', 'configurationKeys are not supported');
    }
    if (!events.every(event => event === 'SHUTDOWN' || (event === 'INVOKE' && !managedInstances))) {
      return refuse(response, 403, 'Extension.InvalidEventType', `Not an event here: ${events.join(', ')}`);
    }
    const agent: Agent = { name, id: randomUUID(), events, queue: [] };
    this.agents.set(agent.id, agent);
    onLifecycle?.('register', name);
    response.setHeader('lambda-extension-identifier', agent.id);
    const features = String(request.headers['lambda-extension-accept-feature'] ?? '').split(/\s*,\s*/);
    answer(response, 200, {
      functionName: config.name,
      functionVersion: '$LATEST',
      handler: config.handler,
      ...(features.includes('accountId') && { accountId }),
    });
    this.check();
  }

  private next(agent: Agent, response: http.ServerResponse): void {
    this.options.onLifecycle?.('next', agent.name);
    this.asked.add(agent.name);
    agent.waiting = response;
    this.deliver(agent);
    this.check();
  }

  private send(type: EventType, event: object): void {
    for (const agent of this.subscribers(type)) {
      agent.queue.push(event);
      this.deliver(agent);
    }
  }

  private deliver(agent: Agent): void {
    if (!agent.waiting || agent.queue.length === 0) return;
    const { waiting } = agent;
    agent.waiting = undefined;
    waiting.setHeader('lambda-extension-event-identifier', randomUUID());
    answer(waiting, 200, agent.queue.shift()!);
    this.options.onLifecycle?.('event', agent.name);
  }

  private when(isMet: () => boolean): Promise<void> {
    return new Promise(resolve => {
      this.watchers.push({ isMet, resolve });
      this.check();
    });
  }

  private check(): void {
    for (const watcher of [...this.watchers]) {
      if (!watcher.isMet()) continue;
      this.watchers.splice(this.watchers.indexOf(watcher), 1);
      watcher.resolve();
    }
  }
}

export function answer(response: http.ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

export function refuse(
  response: http.ServerResponse,
  status: number,
  errorType: string,
  errorMessage: string,
): void {
  answer(response, status, { errorType, errorMessage });
}
