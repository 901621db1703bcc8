/**
 * A stand-in for EventBridge: PutEvents on the default bus or one of the template's, and rules that send
 * events to the template's functions and queues.
 *
 * Other targets get nothing: what they would have got is recorded (`deliveries`). Rules with a schedule do
 * not run. There are no archives, pipes, schemas, resource policies, retries or dead-letter queues of
 * targets; deliveries are logged where they fail.
 */
import { randomUUID } from 'node:crypto';
import type * as http from 'node:http';
import { answerError, answerJson, notImplemented, operationOf, ServiceError } from '../aws-json';
import { compileInput, type TargetInput } from './input';
import { compilePattern, type EventMatcher } from './pattern';
import { Faults } from '../../faults';
import {
  type Context,
  type Delivery as ServiceEvent,
  type Resource,
  type Service,
  unknownAttribute,
} from '../../service';
import { PSEUDO_PARAMETERS } from '../../template/intrinsics';
import { listen, readBody, type RunningServer } from '../../util/server';
import { Lambda } from '../lambda/lambda';
import { Sqs } from '../sqs/sqs';

/** https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html */
export interface BusEvent {
  readonly version: '0';
  readonly id: string;
  readonly 'detail-type': string;
  readonly source: string;
  readonly account: string;
  readonly time: string;
  readonly region: string;
  readonly resources: string[];
  readonly detail: unknown;
}

export interface PutEvent {
  readonly bus: string;
  readonly event: BusEvent;
}

export interface Delivery {
  readonly rule: string;
  readonly target: string;
  readonly input: string;
  /** `nowhere`: such targets do not run here. */
  status: 'running' | 'delivered' | 'failed' | 'nowhere';
}

interface Entry {
  EventBusName?: string;
  Source?: string;
  DetailType?: string;
  Detail?: string;
  Resources?: string[];
  Time?: number;
}

interface Target extends TargetInput {
  Id: string;
  Arn: string;
  SqsParameters?: { MessageGroupId?: string };
}

interface Rule {
  readonly name: string;
  readonly bus: string;
  readonly matches: EventMatcher;
  readonly targets: { readonly target: Target; readonly input: (event: object) => string }[];
}

interface RuleProperties {
  EventBusName?: string;
  EventPattern?: unknown;
  ScheduleExpression?: string;
  State?: string;
  Targets?: Target[];
}

const MAX_ENTRIES = 10;
/**
 * Of all entries of a call, since January 2026:
 * https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html
 */
const MAX_BYTES = 1024 * 1024;

export class EventBridge implements Service {
  public readonly types = ['AWS::Events::EventBus', 'AWS::Events::Rule', 'AWS::Events::EventBusPolicy'];
  public readonly endpoint = { name: 'eventbridge', url: () => this.server.url };
  /** Every event that was put, oldest first. */
  public readonly events: PutEvent[] = [];
  /** Everything that a rule sent to a target, oldest first. */
  public readonly deliveries: Delivery[] = [];
  private server!: RunningServer;
  private readonly buses = new Set(['default']);
  private readonly rules: Rule[] = [];
  private readonly faults = new Faults();

  public constructor(private readonly context: Context) {}

  public async start(): Promise<void> {
    this.server = await listen((request, response) => this.serve(request, response));
  }

  /** Makes the next calls of an operation fail, for instance `failNext('PutEvents', 1, 500)`. */
  public failNext(operation: string, times: number, statusCode: number): void {
    this.faults.failNext(operation, times, statusCode);
  }

  /**
   * Passes an event to the rules of a bus. Nobody here sends those of AWS itself (`aws.codecommit`): tests
   * emit them.
   */
  public emit(event: BusEvent, bus = 'default'): void {
    this.events.push({ bus, event });
    const matching = this.rules.filter(rule => rule.bus === bus && rule.matches(event));
    this.context.journal.record({
      kind: 'event',
      bus,
      source: event.source,
      detailType: event['detail-type'],
      detail: JSON.stringify(event.detail),
      matched: matching.map(({ name }) => name),
    });
    for (const rule of matching) this.handOver(rule, event);
  }

  /** An event from a service of AWS that runs here. */
  public deliver(arn: string, body: string, { source, detailType, resources }: ServiceEvent): boolean {
    if (!arn.includes(':event-bus/')) return false;
    const { 'AWS::AccountId': account, 'AWS::Region': region } = PSEUDO_PARAMETERS;
    const time = new Date(this.context.clock.now()).toISOString();
    const detail = JSON.parse(body) as unknown;
    const event = { version: '0' as const, id: randomUUID(), 'detail-type': detailType, source, account };
    this.emit({ ...event, time, region, resources, detail }, busName(arn));
    return true;
  }

  public ref(resource: Resource): string {
    return nameOf(resource);
  }

  public attribute(resource: Resource, name: string): unknown {
    if (name === 'Name' && resource.type === 'AWS::Events::EventBus') return nameOf(resource);
    if (name !== 'Arn') throw unknownAttribute(resource, name);
    return resource.type === 'AWS::Events::EventBus' ? this.busArn(nameOf(resource)) : this.ruleArn(resource);
  }

  public async create(resource: Resource): Promise<void> {
    if (resource.type === 'AWS::Events::EventBus') this.buses.add(nameOf(resource));
    if (resource.type !== 'AWS::Events::Rule') return;
    const properties = resource.resolve(resource.properties) as RuleProperties;
    if (properties.ScheduleExpression) {
      this.context.notice(`${resource.name}: rules do not run on a schedule here`);
    }
    if (properties.State === 'DISABLED' || properties.EventPattern === undefined) return;
    const names = { name: nameOf(resource), arn: this.ruleArn(resource) };
    this.rules.push({
      name: names.name,
      bus: busName(properties.EventBusName),
      matches: compilePattern(properties.EventPattern),
      targets: (properties.Targets ?? []).map(target => ({ target, input: compileInput(target, names) })),
    });
    const others = (properties.Targets ?? []).filter(({ Arn }) => !this.runsHere(Arn)).map(({ Arn }) => Arn);
    if (others.length > 0) {
      this.context.notice(`${resource.name}: events for ${others.join(', ')} are recorded only`);
    }
  }

  public async stop(): Promise<void> {
    await this.server?.close();
  }

  private async serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const operation = operationOf(request);
    try {
      const { Entries } = JSON.parse((await readBody(request)).toString('utf8') || '{}') as {
        Entries?: Entry[];
      };
      const failure = this.faults.take(operation);
      if (failure) throw new ServiceError('InternalException', 'This call was made to fail', failure);
      if (operation !== 'PutEvents') throw notImplemented('EventBridge', operation);
      checkEntries(Entries);
      for (const { EventBusName, Source = '', DetailType = '' } of Entries) {
        await this.context.iam.authorize(
          request.headers,
          'events:PutEvents',
          this.busArn(busName(EventBusName)),
          {
            'events:source': [Source],
            'events:detail-type': [DetailType], // keys of many values: policies compare them with ForAllValues
          },
        );
      }
      const results = Entries.map(entry => this.put(entry));
      answerJson(
        response,
        200,
        { FailedEntryCount: results.filter(result => 'ErrorCode' in result).length, Entries: results },
        '1.1',
      );
    } catch (error) {
      answerError(response, error);
    }
  }

  private put(entry: Entry): { EventId: string } | { ErrorCode: string; ErrorMessage: string } {
    const { Source, DetailType, Detail, Resources = [], Time } = entry;
    const bus = busName(entry.EventBusName);
    const wrong = (ErrorCode: string, ErrorMessage: string) => ({ ErrorCode, ErrorMessage });
    if (!Source) {
      return wrong(
        'InvalidArgument',
        'Parameter Source is not valid. Reason: Source is a required argument.',
      );
    }
    if (!DetailType) {
      return wrong(
        'InvalidArgument',
        'Parameter DetailType is not valid. Reason: DetailType is a required argument.',
      );
    }
    if (Detail === undefined) {
      return wrong(
        'InvalidArgument',
        'Parameter Detail is not valid. Reason: Detail is a required argument.',
      );
    }
    if (Source.startsWith('aws.')) {
      return wrong('NotAuthorizedForSourceException', 'Not authorized for the source.');
    }
    const detail = parseObject(Detail);
    if (!detail) return wrong('MalformedDetail', 'Detail is malformed.');
    // AWS takes such an event and drops it; a developer would look for it in vain.
    if (!this.buses.has(bus)) return wrong('InvalidArgument', `The event bus ${bus} is not in the template.`);
    const event: BusEvent = {
      version: '0',
      id: randomUUID(),
      'detail-type': DetailType,
      source: Source,
      account: PSEUDO_PARAMETERS['AWS::AccountId'],
      time: new Date(Time === undefined ? this.context.clock.now() : Time * 1000)
        .toISOString()
        .replace(/\.\d+/, ''),
      region: PSEUDO_PARAMETERS['AWS::Region'],
      resources: Resources,
      detail,
    };
    this.emit(event, bus);
    return { EventId: event.id };
  }

  private handOver({ name, targets }: Rule, event: BusEvent): void {
    for (const { target, input } of targets) {
      const delivery: Delivery = { rule: name, target: target.Arn, input: input(event), status: 'running' };
      this.deliveries.push(delivery);
      this.send(target, delivery.input).then(
        status => {
          delivery.status = status;
        },
        error => {
          delivery.status = 'failed';
          this.context.log(
            name,
            `The event for ${target.Arn} was not delivered: ${(error as Error).message}`,
          );
        },
      );
    }
  }

  private async send({ Arn, SqsParameters }: Target, input: string): Promise<Delivery['status']> {
    if (!this.runsHere(Arn)) return 'nowhere';
    if (Arn.includes(':sqs:')) {
      this.context.service(Sqs).queue(Arn).send({ body: input, groupId: SqsParameters?.MessageGroupId });
      return 'delivered';
    }
    const { isError, payload } = await this.context.service(Lambda).invokeAsynchronously(Arn, input, 'event');
    if (isError) throw new Error(payload);
    return 'delivered';
  }

  private runsHere(arn: string): boolean {
    return (
      arn.includes(':sqs:') ||
      (arn.includes(':lambda:') && this.context.service(Lambda).find(arn) !== undefined)
    );
  }

  private busArn(name: string): string {
    return this.context.arn('events', `event-bus/${name}`);
  }

  private ruleArn(resource: Resource): string {
    const bus = busName(resource.resolve(resource.properties.EventBusName) as string | undefined);
    return this.context.arn('events', `rule/${bus === 'default' ? '' : `${bus}/`}${nameOf(resource)}`);
  }
}

function checkEntries(entries: Entry[] | undefined): asserts entries is Entry[] {
  if (!entries || entries.length === 0 || entries.length > MAX_ENTRIES) {
    throw new ServiceError(
      'ValidationException',
      `1 validation error detected: 'entries' must have 1 to ${MAX_ENTRIES} members`,
    );
  }
  // https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html
  const bytes = entries.reduce(
    (sum, { Time, Source = '', DetailType = '', Detail = '', Resources = [] }) =>
      sum +
      (Time === undefined ? 0 : 14) +
      Buffer.byteLength([Source, DetailType, Detail, ...Resources].join('')),
    0,
  );
  if (bytes > MAX_BYTES) {
    throw new ServiceError(
      'ValidationException',
      `Total size of the entries in the request is over the limit of ${MAX_BYTES} bytes: ${bytes}`,
      413,
    );
  }
}

function parseObject(json: string): object | undefined {
  try {
    const value = JSON.parse(json) as unknown;
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** @param name a name or an ARN */
function busName(name: string | undefined): string {
  return name?.split('/').pop() ?? 'default';
}

function nameOf({ properties, name }: Resource): string {
  return typeof properties.Name === 'string' ? properties.Name : name;
}
