/** Runs the resources of synthesized stacks on 127.0.0.1. It reads the templates, so it runs any app's, not only our constructs'. */
import { answerError, notImplemented } from './aws/aws-json';
import { DynamoDb } from './aws/dynamodb/dynamodb';
import { EventBridge } from './aws/event-bridge/event-bridge';
import { HttpApis } from './aws/http-api/http-api';
import type { PolicyDocument } from './aws/iam/evaluate';
import { Iam } from './aws/iam/iam';
import { EventSourceMappings } from './aws/lambda/event-source-mappings';
import { Lambda, type LambdaOptions } from './aws/lambda/lambda';
import { S3 } from './aws/s3/s3';
import { SecretsManager } from './aws/secrets-manager/secrets-manager';
import { Sqs } from './aws/sqs/sqs';
import { type Context, type Resource, type Service, unknownAttribute } from './service';
import { readAssembly, type Stack } from './template/assembly';
import { PSEUDO_PARAMETERS, Resolver, type Template, type TemplateResource } from './template/intrinsics';
import { type Clock, SYSTEM_CLOCK } from './util/clock';
import { listen, type RunningServer } from './util/server';

export interface SystemOptions {
  /** The folder that `cdk synth` wrote. */
  readonly assembly: string;
  /** The port of the first HTTP API; the others take the next ones. 0 picks free ones. */
  readonly port?: number;
  /** The Node.js program that runs the functions. */
  readonly nodePath?: string;
  /** How many events of one function run at once. */
  readonly concurrency?: number;
  readonly environmentOverrides?: Record<string, Record<string, string>>;
  /** What runs beside the services of AWS, such as a host that functions talk to. */
  readonly services?: readonly Service[];
  readonly log?: (source: string, line: string) => void;
  /** The time of queues and objects, for tests that turn it. */
  readonly clock?: Clock;
  /** How Lambda treats extensions, for tests that vary it. */
  readonly extensions?: LambdaOptions['extensions'];
  /** A last change to the template before it runs, for tests. */
  readonly transform?: (template: Template) => void;
}

/** Types that have no effect on localhost, and why that is no loss. Every other type that no service runs is named at start. */
const WITHOUT_EFFECT = new Set([
  'AWS::CDK::Metadata',
  'AWS::IAM::Role',
  'AWS::IAM::Policy',
  'AWS::IAM::ManagedPolicy', // read by Iam
  'AWS::Lambda::Permission', // resource policies are not evaluated
  'AWS::Logs::LogGroup', // logs are printed
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

  public readonly iam = new Iam();
  /** What a developer should know about this run. */
  public readonly notices: string[] = [];
  private readonly services: Service[] = [];
  private readonly outputValues: Record<string, string> = {};
  private unknownService!: RunningServer;

  private constructor(private readonly options: SystemOptions) {}

  /** The outputs of all stacks, by logical id. */
  public get outputs(): Readonly<Record<string, string>> {
    return this.outputValues;
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

  /** Where SDKs in functions, and your own tools, go; a service that does not take part leads to a loud 501, never to the real AWS. */
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
    const stacks = readAssembly(this.options.assembly);
    if (stacks.length !== 1) {
      throw new Error(
        `A local run needs a cloud assembly of one stack, ${this.options.assembly} has ${stacks.length}`,
      );
    }
    const [stack] = stacks;
    this.options.transform?.(stack.template);
    const resources = resourcesOf(stack);
    const resolver: Resolver = new Resolver(stack.template, {
      ref: logicalId => this.ref(resources, logicalId),
      attribute: (logicalId, name) => this.attribute(resources, logicalId, name),
    });
    const wanted = resources.filter(({ logicalId }) => {
      const { Condition } = stack.template.Resources![logicalId];
      return Condition === undefined || resolver.condition(Condition);
    });
    this.createServices(stack, resolver);
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
    this.readPolicies(wanted, resolver);
    for (const service of this.services) {
      for (const resource of wanted.filter(({ type }) => service.types.includes(type))) {
        await service.create(resource);
      }
    }
    await this.service(HttpApis).connect(wanted.filter(({ type }) => type === 'AWS::ApiGatewayV2::Route'));
    this.noticeTheRest(wanted);
    this.checkOverrides();
    for (const [name, output] of Object.entries(stack.template.Outputs ?? {})) {
      this.outputValues[name] = String(resolver.resolve(output.Value));
    }
  }

  private createServices(stack: Stack, resolver: Resolver): void {
    const context: Context = {
      iam: this.iam,
      resolver,
      clock: this.options.clock ?? SYSTEM_CLOCK,
      log: this.options.log ?? (() => undefined),
      notice: text => {
        this.notices.push(text);
      },
      endpoints: () => this.endpointVariables(),
      arn: (service, resource) => {
        const { 'AWS::Region': region, 'AWS::AccountId': account } = PSEUDO_PARAMETERS;
        return `arn:${PSEUDO_PARAMETERS['AWS::Partition']}:${service}:${region}:${account}:${resource}`;
      },
      service: type => this.service(type),
    };
    this.services.push(
      new DynamoDb(context),
      new SecretsManager(context),
      new S3(context),
      new Sqs(context),
      ...(this.options.services ?? []),
      new Lambda(context, {
        nodePath: this.options.nodePath ?? process.execPath,
        concurrency: this.options.concurrency ?? 4,
        assetPath: stack.assetPath,
        environmentOverrides: this.options.environmentOverrides ?? {},
        extensions: this.options.extensions,
      }),
      new EventBridge(context),
      new HttpApis(context, this.options.port ?? 0),
      new EventSourceMappings(context), // last made, so that all they need is there; first stopped
    );
  }

  private ref(resources: Resource[], logicalId: string): unknown {
    const resource = find(resources, logicalId);
    return this.serviceOf(resource)?.ref(resource) ?? resource.name;
  }

  private attribute(resources: Resource[], logicalId: string, name: string): unknown {
    const resource = find(resources, logicalId);
    const service = this.serviceOf(resource);
    if (service) return service.attribute(resource, name);
    if (name !== 'Arn') throw unknownAttribute(resource, name);
    return arnOf(resource);
  }

  private serviceOf({ type }: Resource): Service | undefined {
    return this.services.find(({ types }) => types.includes(type));
  }

  private readPolicies(resources: Resource[], resolver: Resolver): void {
    for (const resource of resources) {
      const properties = resource.properties as {
        Roles?: unknown;
        Policies?: unknown;
        PolicyDocument?: unknown;
      };
      if (resource.type === 'AWS::IAM::Role') {
        for (const { PolicyDocument } of resolver.resolve(properties.Policies ?? []) as {
          PolicyDocument: PolicyDocument;
        }[]) {
          this.iam.addPolicy(arnOf(resource), PolicyDocument);
        }
      } else if (resource.type === 'AWS::IAM::Policy' || resource.type === 'AWS::IAM::ManagedPolicy') {
        for (const roleName of resolver.resolve(properties.Roles ?? []) as string[]) {
          const role = resources.find(({ type, name }) => type === 'AWS::IAM::Role' && name === roleName);
          if (role) {
            this.iam.addPolicy(arnOf(role), resolver.resolve(properties.PolicyDocument) as PolicyDocument);
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

  private noticeTheRest(resources: Resource[]): void {
    const rest = new Map<string, string[]>();
    for (const resource of resources) {
      if (this.serviceOf(resource) || WITHOUT_EFFECT.has(resource.type)) continue;
      rest.set(resource.type, [...(rest.get(resource.type) ?? []), resource.name]);
    }
    for (const [type, names] of rest) this.notices.push(`${type} is not run here (${names.join(', ')})`);
  }
}

function resourcesOf({ name: stackName, template }: Stack): Resource[] {
  return Object.entries(template.Resources ?? {}).map(([logicalId, resource]) => ({
    logicalId,
    type: resource.Type,
    name: readableName(stackName, logicalId, resource),
    properties: resource.Properties ?? {},
  }));
}

/** `Demo/Birthdays/Table/Resource` becomes `Birthdays-Table`. */
function readableName(stackName: string, logicalId: string, { Metadata }: TemplateResource): string {
  const constructPath = Metadata?.['aws:cdk:path'];
  if (typeof constructPath !== 'string') return logicalId;
  const parts = constructPath.split('/').filter(part => part !== 'Resource' && part !== 'Default');
  return (parts[0] === stackName ? parts.slice(1) : parts).join('-').replace(/[^A-Za-z0-9_-]/g, '_');
}

function find(resources: Resource[], logicalId: string): Resource {
  const found = resources.find(resource => resource.logicalId === logicalId);
  if (!found) throw new Error(`The template has no resource ${logicalId}`);
  return found;
}

/** The ARN of a resource that no service runs: good enough for policies, which only compare it. */
function arnOf({ type, name }: Resource): string {
  const [, service, kind] = type.toLowerCase().split('::');
  const { 'AWS::Region': region, 'AWS::AccountId': account } = PSEUDO_PARAMETERS;
  return service === 'iam'
    ? `arn:aws:iam::${account}:${kind}/${name}`
    : `arn:aws:${service}:${region}:${account}:${kind}/${name}`;
}
