/**
 * Runs the resources of synthesized stacks on 127.0.0.1. It reads the templates, so it runs any app's, not
 * only our constructs'.
 */
import { HttpApis } from './aws/api-gateway/http-apis';
import type { Listening } from './aws/api-gateway/parts';
import { RestApis } from './aws/api-gateway/rest-apis';
import { answerError, notImplemented } from './aws/aws-json';
import { CodeDeploy } from './aws/codedeploy/codedeploy';
import { DynamoDb } from './aws/dynamodb/dynamodb';
import { EventBridge } from './aws/event-bridge/event-bridge';
import type { PolicyDocument } from './aws/iam/evaluate';
import { Iam } from './aws/iam/iam';
import { EventSourceMappings } from './aws/lambda/event-source-mappings';
import { Lambda, type LambdaOptions } from './aws/lambda/lambda';
import { S3 } from './aws/s3/s3';
import { SecretsManager } from './aws/secrets-manager/secrets-manager';
import { Sqs } from './aws/sqs/sqs';
import { Sts } from './aws/sts/sts';
import { Journal } from './journal';
import type { Context, Resource, Service } from './service';
import { type Assembly, readAssembly, type Stack } from './template/assembly';
import { PSEUDO_PARAMETERS, type Template } from './template/intrinsics';
import { Scopes } from './template/scopes';
import { type Clock, SYSTEM_CLOCK } from './util/clock';
import { listen, type RunningServer } from './util/server';

export interface SystemOptions {
  /** The folder that `cdk synth` wrote. */
  readonly assembly: string;
  /** Which of its stacks run, with `*` for any characters; all of them by default. */
  readonly stacks?: readonly string[];
  /** The port of the first API; the others take the next ones. 0 picks free ones. */
  readonly port?: number;
  /** The Node.js program that runs the functions. */
  readonly nodePath?: string;
  /** How many events of one function run at once. */
  readonly concurrency?: number;
  /**
   * How many events of all functions run at once before more are refused with 429. Default: 1000, as AWS
   * starts with
   */
  readonly accountConcurrency?: number;
  readonly environmentOverrides?: Record<string, Record<string, string>>;
  /** What runs beside the services of AWS, such as a host that functions talk to. */
  readonly services?: readonly Service[];
  readonly log?: (source: string, line: string) => void;
  /** Whether asynchronous events are tried again sixty times as soon as on AWS. */
  readonly fastRetries?: boolean;
  /** Whether APIs answer 429 above the rate that their stage allows. */
  readonly throttle?: boolean;
  /** Seconds between two sweeps for expired items. Default: 60 */
  readonly ttlDelaySeconds?: number;
  /** The time of queues and objects, for tests that turn it. */
  readonly clock?: Clock;
  /** How Lambda treats extensions, for tests that vary it. */
  readonly extensions?: LambdaOptions['extensions'];
  /** A last change to each stack's template before it runs, for tests. */
  readonly transform?: (template: Template) => void;
}

/**
 * Types that have no effect on localhost, and why that is no loss. Every other type that no service runs is
 * named at the start.
 */
const WITHOUT_EFFECT = new Set([
  'AWS::CDK::Metadata',
  'AWS::IAM::Role',
  'AWS::IAM::Policy',
  'AWS::IAM::ManagedPolicy', // read by Iam
  'AWS::ApiGateway::Account', // of logs
  'AWS::Lambda::Permission', // resource policies are not evaluated
  'AWS::Logs::LogGroup', // logs are printed
  'Custom::LogRetention',
]);

export class System {
  public static async start(options: SystemOptions): Promise<System> {
    const system = new System(options);
    try {
      await system.startAll();
      return system;
    } catch (error) {
      await system.stop();
      throw error;
    }
  }

  public readonly journal = new Journal();
  public readonly iam = new Iam(this.journal);
  /** What a developer should know about this run. */
  public readonly notices: string[] = [];
  public readonly services: Service[] = [];
  private allResources: readonly Resource[] = [];
  private readonly madeUp = new Set<string>();
  private deployers?: Set<unknown>;
  private readonly outputValues: Record<string, string> = {};
  private unknownService!: RunningServer;

  private constructor(private readonly options: SystemOptions) {}

  /** The outputs of the stacks, by name; with the stack's in front where there are several. */
  public get outputs(): Readonly<Record<string, string>> {
    return this.outputValues;
  }

  /** Everything that the templates hold, run or not. */
  public get resources(): readonly Resource[] {
    return this.allResources;
  }

  /** Every API that listens: HTTP APIs, and the stages of REST APIs. */
  public get apis(): Listening[] {
    return [...this.service(HttpApis).listening, ...this.service(RestApis).listening];
  }

  /** The services that SDKs can talk to, by name. */
  public get endpoints(): Record<string, string> {
    return Object.fromEntries(
      this.services.flatMap(({ endpoint }) => (endpoint ? [[endpoint.name, endpoint.url()]] : [])),
    );
  }

  public service<T extends Service>(type: abstract new (...args: never[]) => T): T {
    const found = this.services.find(service => service instanceof type);
    if (!found) throw new Error(`No ${type.name} takes part in this run`);
    return found as T;
  }

  /**
   * Where SDKs in functions, and your own tools, go; a service that does not take part answers with a loud
   * 501, never to the real AWS.
   */
  public endpointVariables(): Record<string, string> {
    const ofAws = this.services.flatMap(({ endpoint }) => (endpoint && !endpoint.notAws ? [endpoint] : []));
    const own = ofAws.map(({ name, url }) => [
      `AWS_ENDPOINT_URL_${name.replace(/[A-Z]/g, '_$&').toUpperCase()}`,
      url(),
    ]);
    return {
      AWS_ENDPOINT_URL: this.unknownService.url,
      ...(Object.fromEntries(own) as Record<string, string>),
    };
  }

  public async stop(): Promise<void> {
    for (const service of [...this.services].reverse()) await service.stop();
    await this.unknownService?.close();
  }

  private async startAll(): Promise<void> {
    const assembly = readAssembly(this.options.assembly);
    const stacks = this.chosen(assembly);
    for (const { template } of stacks) this.options.transform?.(template);
    this.createServices(assembly);
    const scopes = new Scopes(assembly, stacks, {
      ref: resource => this.serviceOf(resource)?.ref(resource) ?? resource.name,
      attribute: (resource, name) => this.attribute(resource, name),
      localized: text => this.localized(text),
    });
    const wanted = scopes.resources;
    this.allResources = wanted;
    this.unknownService = await listen(async (request, response) => {
      answerError(
        response,
        notImplemented(
          'AWS',
          `${request.headers['x-amz-target'] ?? `${request.method} ${request.url}`} (no such service here)`,
        ),
      );
    });
    for (const service of this.services) {
      await service.start(wanted.filter(({ type }) => service.types.includes(type)));
    }
    this.readPolicies(wanted);
    for (const service of this.services) {
      for (const resource of wanted.filter(({ type }) => service.types.includes(type))) {
        if (!this.isOfCustomResources(resource)) await service.create(resource);
      }
    }
    await this.service(HttpApis).connect(wanted.filter(({ type }) => type === 'AWS::ApiGatewayV2::Route'));
    this.service(RestApis).connect(wanted.filter(({ type }) => type === 'AWS::ApiGateway::Method'));
    this.checkOverrides();
    Object.assign(this.outputValues, scopes.outputs());
    this.noticeTheRest(wanted);
  }

  /** The stacks that are to run. */
  private chosen({ stacks }: Assembly): readonly Stack[] {
    const { stacks: patterns, assembly } = this.options;
    if (stacks.length === 0) throw new Error(`${assembly} has no stacks`);
    if (!patterns) return stacks;
    const found = stacks.filter(({ id, name }) =>
      patterns.some(pattern => [id, name].some(text => glob(pattern).test(text))),
    );
    if (found.length > 0) return found;
    const ids = stacks.map(({ id }) => id).join(', ');
    throw new Error(`No stack is called ${patterns.join(' or ')}. There are: ${ids}`);
  }

  private createServices({ assetPath }: Assembly): void {
    const context: Context = {
      iam: this.iam,
      clock: this.options.clock ?? SYSTEM_CLOCK,
      journal: this.journal,
      log: (source, line, invocation) => {
        this.journal.record({ kind: 'log', source, line, invocation });
        this.options.log?.(source, line);
      },
      notice: text => {
        this.notices.push(text);
      },
      endpoints: () => this.endpointVariables(),
      arn: (service, resource) => {
        const { 'AWS::Region': region, 'AWS::AccountId': account } = PSEUDO_PARAMETERS;
        return `arn:${PSEUDO_PARAMETERS['AWS::Partition']}:${service}:${region}:${account}:${resource}`;
      },
      deliver: (arn, body, about) => this.services.some(service => service.deliver?.(arn, body, about)),
      service: type => this.service(type),
    };
    this.services.push(
      new DynamoDb(context, this.options.ttlDelaySeconds),
      new SecretsManager(context),
      new Sts(context),
      new S3(context),
      new Sqs(context),
      new CodeDeploy(context),
      ...(this.options.services ?? []),
      new Lambda(context, {
        nodePath: this.options.nodePath ?? process.execPath,
        concurrency: this.options.concurrency ?? 4,
        accountConcurrency: this.options.accountConcurrency,
        assetPath,
        environmentOverrides: this.options.environmentOverrides ?? {},
        extensions: this.options.extensions,
        fastRetries: this.options.fastRetries,
      }),
      new EventBridge(context),
      new HttpApis(context, this.options.port ?? 0, this.options.throttle),
      new RestApis(context, this.options.throttle),
      new EventSourceMappings(context), // created last, so that all they need is there; stopped first
    );
  }

  /**
   * Replaces, in a text, the addresses that APIs of the run would have on AWS by those that they have here.
   */
  private localized(text: string): string {
    return text.replace(
      /https:\/\/([\w-]+)\.execute-api\.[\w-]+\.amazonaws\.com/g,
      (address, id: string) =>
        this.service(HttpApis).urlOf(id) ?? this.service(RestApis).urlOf(id) ?? address,
    );
  }

  private attribute(resource: Resource, name: string): unknown {
    const service = this.serviceOf(resource);
    if (service) return service.attribute(resource, name);
    if (name === 'Arn') return arnOf(resource);
    this.madeUp.add(`${resource.name}: nothing runs it here, so its ${name} is made up`);
    return `not-run-here.${resource.name}.${name}`;
  }

  /** Whether it is a function that CloudFormation itself would call during a deployment. */
  private isOfCustomResources(resource: Resource): boolean {
    if (resource.type !== 'AWS::Lambda::Function') return false;
    this.deployers ??= new Set(
      this.allResources
        .filter(({ properties }) => properties.ServiceToken !== undefined)
        .map(({ properties, resolve }) => resolve(properties.ServiceToken)),
    );
    return this.deployers.has(this.attribute(resource, 'Arn'));
  }

  private serviceOf({ type }: Resource): Service | undefined {
    return this.services.find(({ types }) => types.includes(type));
  }

  private readPolicies(resources: Resource[]): void {
    for (const resource of resources) {
      const properties = resource.properties as {
        Roles?: unknown;
        Policies?: unknown;
        PolicyDocument?: unknown;
      };
      if (resource.type === 'AWS::IAM::Role') {
        for (const { PolicyDocument } of resource.resolve(properties.Policies ?? []) as {
          PolicyDocument: PolicyDocument;
        }[]) {
          this.iam.addPolicy(arnOf(resource), PolicyDocument);
        }
      } else if (resource.type === 'AWS::IAM::Policy' || resource.type === 'AWS::IAM::ManagedPolicy') {
        for (const roleName of resource.resolve(properties.Roles ?? []) as string[]) {
          const role = resources.find(({ type, name }) => type === 'AWS::IAM::Role' && name === roleName);
          if (role) {
            this.iam.addPolicy(arnOf(role), resource.resolve(properties.PolicyDocument) as PolicyDocument);
          }
        }
      }
    }
  }

  private checkOverrides(): void {
    const names = this.service(Lambda).configs.map(({ name }) => name);
    const unknown = Object.keys(this.options.environmentOverrides ?? {}).find(
      name => name !== 'Parameters' && !names.includes(name),
    );
    if (unknown !== undefined) {
      throw new Error(`The environment overrides name a function ${unknown}. There are: ${names.join(', ')}`);
    }
  }

  /** Where times and numbers are not those of AWS. */
  private noticeLimits(): void {
    const { concurrency = 4, fastRetries } = this.options;
    this.notices.push(
      `At most ${concurrency} events of one function run at once, and more wait (--concurrency); AWS starts more environments`,
    );
    if (fastRetries) {
      this.notices.push(
        'Asynchronous events are tried again, and give up, 60 times as soon as on AWS (--fast-retries)',
      );
    }
  }

  private noticeTheRest(resources: Resource[]): void {
    const rest = new Map<string, string[]>();
    for (const resource of resources) {
      if (this.serviceOf(resource) || WITHOUT_EFFECT.has(resource.type)) continue;
      rest.set(resource.type, [...(rest.get(resource.type) ?? []), resource.name]);
    }
    if (this.service(Lambda).configs.length > 0) this.noticeLimits();
    this.notices.push(...this.madeUp);
    for (const [type, names] of rest) this.notices.push(`${type} is not run here (${names.join(', ')})`);
  }
}

/** `Prod*` for all that begin with it. */
function glob(pattern: string): RegExp {
  const escaped = pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replace(/\*/g, '.*').replace(/\?/g, '.')}$`);
}

/** The ARN of a resource that no service runs: good enough for policies, which only compare it. */
function arnOf({ type, name }: Resource): string {
  const [, service, kind] = type.toLowerCase().split('::');
  const { 'AWS::Region': region, 'AWS::AccountId': account } = PSEUDO_PARAMETERS;
  return service === 'iam'
    ? `arn:aws:iam::${account}:${kind}/${name}`
    : `arn:aws:${service}:${region}:${account}:${kind}/${name}`;
}
