/**
 * AWS Lambda: runs each function of the template in a child process, and answers the documented Invoke call.
 * https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
 */
import { randomUUID } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import type * as http from 'node:http';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { AsynchronousInvocations } from './asynchronous';
import { type Context, type Resource, type Service, unknownAttribute } from '../../service';
import { Environment, type ExecutionEnvironment } from './environment/environment';
import { ExtendedEnvironment, type ExtendedEnvironmentOptions } from './environment/extended-environment';
import { Guardian } from './environment/guardian';
import type { FunctionConfig } from './function-config';
import { Layers, whyNotExecutable } from './layers';
import { observed } from './observed';
import { Pool } from './pool';
import { answerError, answerJson, ServiceError } from '../aws-json';
import type { InvocationResult } from './runtime/runtime-process';
import { PSEUDO_PARAMETERS } from '../../template/intrinsics';
import { listen, readBody, type RunningServer } from '../../util/server';
import { unpackZip } from '../../util/zip';

export interface LambdaOptions {
  /** The Node.js program that runs the functions. */
  readonly nodePath: string;
  /** How many events of one function run at once. */
  readonly concurrency: number;
  /** The folder or file of an asset, by its S3 object key. */
  readonly assetPath: (objectKey: string) => string | undefined;
  /**
   * How many events of all functions with nothing reserved run at once, with what is reserved. Default: 1000,
   * as AWS starts with
   */
  readonly accountConcurrency?: number;
  /** Whether asynchronous events are tried again sixty times as soon as on AWS. */
  readonly fastRetries?: boolean;
  /** Values that replace those of the template: by function name, or for all functions under `Parameters`. */
  readonly environmentOverrides: Record<string, Record<string, string>>;
  /** How Lambda treats extensions, for tests that vary it. */
  readonly extensions?: Pick<
    ExtendedEnvironmentOptions,
    'errorTypes' | 'initializationType' | 'initTimeoutMs' | 'onLifecycle' | 'telemetry'
  >;
}

interface FunctionProperties {
  FunctionName?: string;
  Code: { S3Key?: string; ZipFile?: string };
  Handler?: string;
  Runtime?: string;
  MemorySize?: number;
  Timeout?: number;
  Environment?: { Variables?: Record<string, unknown> };
  Role: string;
  LoggingConfig?: { LogFormat?: string; ApplicationLogLevel?: string };
  Layers?: string[];
  ReservedConcurrentExecutions?: number;
  DeadLetterConfig?: { TargetArn?: string };
}

interface EventInvokeConfig {
  FunctionName: string;
  MaximumEventAgeInSeconds?: number;
  MaximumRetryAttempts?: number;
  DestinationConfig?: { OnSuccess?: { Destination?: string }; OnFailure?: { Destination?: string } };
}

interface LayerProperties {
  Content: { S3Key?: string };
}

/** https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html */
const MAX_PAYLOAD_BYTES = 6 * 1024 * 1024;
const MAX_ASYNCHRONOUS_BYTES = 1024 * 1024;

const EVENT_INVOKE_CONFIG = 'AWS::Lambda::EventInvokeConfig';
/** An account's quota, where nobody has asked for more. */
const ACCOUNT_CONCURRENCY = 1000;

const INVOKE = /^\/2015-03-31\/functions\/([^/]+)\/invocations$/;

/** What Lambda's runtime brings along, and the app has to. */
const MISSING_SDK =
  /"Runtime\.ImportModuleError".*Cannot find (?:module|package) '(@(?:aws-sdk|smithy)\/[\w-]+)'/s;

export class Lambda implements Service {
  public readonly types = [
    EVENT_INVOKE_CONFIG,
    'AWS::Lambda::LayerVersion',
    'AWS::Lambda::Function',
    'AWS::Lambda::Version',
    'AWS::Lambda::Alias',
  ];
  public readonly endpoint = { name: 'lambda', url: () => this.server.url };
  private server!: RunningServer;
  private readonly functions = new Map<string, { config: FunctionConfig; pool: Pool; running: number }>();
  private readonly asynchronous: AsynchronousInvocations;
  private readonly eventInvokeConfigs: (() => EventInvokeConfig)[] = [];
  private readonly folder = mkdtempSync(path.join(tmpdir(), 'serverless-blocks-'));
  private readonly runtimeFile = path.join(this.folder, 'node-runtime.js');
  private readonly sdkFolder = path.join(this.folder, 'runtime', 'node_modules');
  private readonly layers = new Layers(this.folder);
  private readonly guardian = new Guardian();

  public constructor(
    private readonly context: Context,
    private readonly options: LambdaOptions,
  ) {
    this.asynchronous = new AsynchronousInvocations(context, options.fastRetries ? 60 : 1);
  }

  public async start(resources: Resource[]): Promise<void> {
    for (const layer of resources.filter(({ type }) => type === 'AWS::Lambda::LayerVersion')) {
      this.addLayer(layer);
    }
    await writeRuntime(this.runtimeFile);
    if (!linkSdk(this.sdkFolder)) {
      this.context.notice(
        'There is no @aws-sdk in node_modules here: functions that take it from their runtime do not find it. Run `npm install --save-dev @aws-sdk/client-…`',
      );
    }
    for (const { properties, resolve } of resources.filter(({ type }) => type === EVENT_INVOKE_CONFIG)) {
      this.eventInvokeConfigs.push(() => resolve(properties) as EventInvokeConfig);
    }
    this.server = await listen((request, response) => this.serve(request, response));
  }

  public get configs(): FunctionConfig[] {
    return [...this.functions.values()].map(({ config }) => config);
  }

  public ref(resource: Resource): string {
    if (resource.type === 'AWS::Lambda::Function') return functionName(resource);
    if (resource.type === EVENT_INVOKE_CONFIG) return resource.logicalId;
    if (resource.type === 'AWS::Lambda::LayerVersion') {
      return this.context.arn('lambda', `layer:${resource.name}:1`);
    }
    const qualifier = resource.type === 'AWS::Lambda::Alias' ? String(resource.properties.Name) : '1';
    return `${this.functionArn(this.functionOf(resource))}:${qualifier}`;
  }

  public attribute(resource: Resource, name: string): unknown {
    if (name === 'Arn' && resource.type === 'AWS::Lambda::Function') {
      return this.functionArn(functionName(resource));
    }
    if (name === 'Version' && resource.type === 'AWS::Lambda::Version') return '1';
    throw unknownAttribute(resource, name);
  }

  public async create(resource: Resource): Promise<void> {
    if (resource.type !== 'AWS::Lambda::Function') return;
    const config = this.configOf(resource);
    if (!config.runtime.startsWith('nodejs')) {
      this.context.notice(`${config.name}: the runtime ${config.runtime} is not run here`);
      return;
    }
    const command = [
      this.options.nodePath,
      `--max-old-space-size=${Math.floor(config.memoryMiB * 0.9)}`,
      this.runtimeFile,
    ];
    const extensions = this.extensionsOf(config);
    this.functions.set(config.name, {
      config,
      running: 0,
      pool: new Pool(() => this.startEnvironment(config, command, extensions), this.options.concurrency),
    });
  }

  /** @param name a function's name, logical id, or ARN, with or without a version or alias */
  public find(name: string): FunctionConfig | undefined {
    const plain = name.startsWith('arn:') ? name.split(':')[6] : name.split(':')[0];
    if (plain === undefined) return undefined; // the ARN of something else
    const wanted = plain.replace(/\//g, '-');
    return this.functions.get(wanted)?.config ?? this.configs.find(({ logicalId }) => logicalId === plain);
  }

  /** @param cause where the event comes from, as the page shows it */
  public async invoke(
    name: string,
    event: string,
    cause = 'invoke',
    requestId: string = randomUUID(),
  ): Promise<InvocationResult & { readonly invocation: string }> {
    const config = this.existing(name);
    const found = this.functions.get(config.name)!;
    this.checkConcurrency(config, found.running);
    found.running++;
    try {
      const result = await found.pool.invoke(event, cause, requestId);
      const [, missing] = result.isError ? (MISSING_SDK.exec(result.payload) ?? []) : [];
      if (missing !== undefined) {
        const hint = `Lambda's runtime has ${missing}, node_modules here does not: npm install --save-dev ${missing}`;
        this.context.log(config.name, hint);
      }
      return { ...result, invocation: requestId };
    } finally {
      found.running--;
    }
  }

  public deliver(arn: string, body: string): boolean {
    const config = arn.includes(':lambda:') ? this.find(arn) : undefined;
    if (!config) return false;
    this.invokeAsynchronously(config.name, body, 'destination').catch((error: Error) =>
      this.context.log(config.name, `The asynchronous event was lost: ${error.message}`),
    );
    return true;
  }

  private existing(name: string): FunctionConfig {
    const config = this.find(name);
    if (!config) {
      throw new ServiceError(
        'ResourceNotFoundException',
        `Function not found: ${name}. There are: ${[...this.functions.keys()].join(', ')}`,
        404,
      );
    }
    return config;
  }

  /** Like `invoke`, but what fails is tried again. @returns how the first attempt ended */
  public async invokeAsynchronously(name: string, event: string, cause: string): Promise<InvocationResult> {
    const config = this.existing(name);
    const { MaximumEventAgeInSeconds, MaximumRetryAttempts, DestinationConfig } =
      this.eventInvokeConfigs
        .map(read => read())
        .find(({ FunctionName }) => this.find(FunctionName) === config) ?? {};
    const settings = {
      maximumAgeSeconds: MaximumEventAgeInSeconds,
      maximumRetryAttempts: MaximumRetryAttempts,
      onSuccess: DestinationConfig?.OnSuccess?.Destination,
      onFailure: DestinationConfig?.OnFailure?.Destination,
      deadLetters: config.deadLetterArn,
    };
    return this.asynchronous.start(config, settings, event, (text, requestId) =>
      this.invoke(config.name, text, cause, requestId),
    );
  }

  /** https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html */
  private checkConcurrency({ reservedConcurrency, name }: FunctionConfig, running: number): void {
    const others = [...this.functions.values()].filter(
      ({ config }) => config.reservedConcurrency === undefined,
    );
    const reserved = this.configs.reduce((sum, config) => sum + (config.reservedConcurrency ?? 0), 0);
    const account = this.options.accountConcurrency ?? ACCOUNT_CONCURRENCY;
    const isThrottled =
      reservedConcurrency === undefined
        ? others.reduce((sum, fn) => sum + fn.running, 0) >= account - reserved
        : running >= reservedConcurrency;
    if (!isThrottled) return;
    this.context.log(name, 'Throttled: as many events run as its concurrency allows');
    throw new ServiceError('TooManyRequestsException', 'Rate Exceeded.', 429);
  }

  /** Restarts the functions whose code is there. */
  public async renew(codePath: string): Promise<string[]> {
    const changed = [...this.functions.values()].filter(({ config }) => config.codePath === codePath);
    await Promise.all(changed.map(({ pool }) => pool.renew()));
    return changed.map(({ config }) => config.name);
  }

  public async stop(): Promise<void> {
    this.asynchronous.stop();
    await this.server?.close();
    await Promise.all([...this.functions.values()].map(({ pool }) => pool.stop()));
    await this.guardian.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    try {
      const match =
        request.method === 'POST' && INVOKE.exec(new URL(request.url ?? '/', 'http://local').pathname);
      if (!match) {
        throw new ServiceError(
          'NotImplemented',
          `The local stand-in for Lambda does Invoke only, not ${request.method} ${request.url}`,
          501,
        );
      }
      const name = decodeURIComponent(match[1]);
      const body = await readBody(request);
      await this.context.iam.authorize(
        request.headers,
        'lambda:InvokeFunction',
        this.invokedArn(name, new URL(request.url ?? '/', 'http://local').searchParams.get('Qualifier')),
      );
      const type = String(request.headers['x-amz-invocation-type'] ?? 'RequestResponse');
      const limit = type === 'Event' ? MAX_ASYNCHRONOUS_BYTES : MAX_PAYLOAD_BYTES;
      if (body.length > limit) {
        const text = `${body.length} byte payload is too large, the limit of ${type} is ${limit}`;
        throw new ServiceError('RequestTooLargeException', text, 413);
      }
      await this.answerInvoke(name, body.toString('utf8') || '{}', type, response);
    } catch (error) {
      if (error instanceof ServiceError) response.setHeader('x-amzn-errortype', error.code);
      answerError(response, error);
    }
  }

  private async answerInvoke(
    name: string,
    event: string,
    type: string,
    response: http.ServerResponse,
  ): Promise<void> {
    const config = this.find(name);
    try {
      JSON.parse(event);
    } catch {
      throw new ServiceError('InvalidRequestContentException', 'Could not parse request body into json');
    }
    if (config && type === 'DryRun') return void response.writeHead(204).end();
    if (config && type === 'Event') {
      this.invokeAsynchronously(name, event, 'asynchronous').catch((error: Error) =>
        this.context.log(config.name, `The asynchronous event was lost: ${error.message}`),
      );
      return answerJson(response, 202, '');
    }
    const { payload, isError } = await this.invoke(name, event);
    response
      .writeHead(200, {
        'content-type': 'application/json',
        'x-amz-executed-version': '$LATEST',
        ...(isError && { 'x-amz-function-error': 'Unhandled' }),
      })
      .end(payload);
  }

  private async startEnvironment(
    config: FunctionConfig,
    command: string[],
    extensions: string[],
  ): Promise<ExecutionEnvironment> {
    // In Lambda every environment has its own /tmp; here the variable points to one. It outlives a reset.
    const temporary = mkdtempSync(path.join(this.folder, 'tmp-'));
    const { accessKeyId, ...credentials } = this.context.iam.createCredentials(
      config.name,
      config.roleArn,
      path.basename(temporary), // an environment runs one event at a time, so a key says which one a call belongs to
    );
    const env = {
      ...this.childEnvironment(config),
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      AWS_SESSION_TOKEN: credentials.sessionToken,
      TMPDIR: temporary,
    };
    let running: string | undefined;
    const onLog = (line: string) => this.context.log(config.name, line, running);
    const environment =
      extensions.length === 0
        ? await Environment.start({ config, command, env, onLog })
        : await ExtendedEnvironment.start({
            config,
            command,
            env,
            onLog,
            extensions,
            extensionEnv: extensionEnvironment(env, temporary),
            guardian: this.guardian,
            accountId: PSEUDO_PARAMETERS['AWS::AccountId'],
            ...this.options.extensions,
          });
    void environment.exited.then(() => rmSync(temporary, { recursive: true, force: true }));
    return observed(environment, config.name, this.context.journal, invocation => {
      running = invocation;
      this.context.iam.setInvocation(accessKeyId, invocation);
    });
  }

  private addLayer(resource: Resource): void {
    const {
      Content: { S3Key },
    } = resource.resolve(resource.properties) as LayerProperties;
    const content = S3Key && this.options.assetPath(S3Key);
    if (!content) {
      throw new Error(
        `The content of the layer ${resource.name} is not in the cloud assembly: only assets are unpacked here`,
      );
    }
    this.layers.add(this.ref(resource), content);
  }

  /** The extensions that can run here; for the others the notices say why not. */
  private extensionsOf({ name, layers }: FunctionConfig): string[] {
    for (const arn of layers.filter(layer => !this.layers.has(layer))) {
      this.context.notice(`${name}: the layer ${arn} is not in this app, so the function runs without it`);
    }
    return this.layers.extensionsOf(layers).filter(file => {
      const why = whyNotExecutable(file);
      if (why) {
        this.context.notice(
          `${name}: the extension ${path.basename(file)} does not run here, because ${why}`,
        );
      }
      return !why;
    });
  }

  private configOf(resource: Resource): FunctionConfig {
    const properties = resource.resolve(resource.properties) as FunctionProperties;
    const name = functionName(resource);
    const variables = Object.entries(properties.Environment?.Variables ?? {}).map(([key, value]) => [
      key,
      String(value),
    ]);
    return {
      name,
      arn: this.functionArn(name),
      logicalId: resource.logicalId,
      codePath: this.codePath(name, properties.Code),
      handler: properties.Handler ?? '',
      runtime: properties.Runtime ?? 'none (a container image)',
      memoryMiB: properties.MemorySize ?? 128,
      timeoutSeconds: properties.Timeout ?? 3,
      environment: {
        ...(Object.fromEntries(variables) as Record<string, string>),
        ...this.options.environmentOverrides.Parameters,
        ...this.options.environmentOverrides[name],
      },
      roleArn: properties.Role,
      jsonLogs: properties.LoggingConfig?.LogFormat === 'JSON',
      logLevel: properties.LoggingConfig?.ApplicationLogLevel ?? 'INFO',
      layers: properties.Layers ?? [],
      reservedConcurrency: properties.ReservedConcurrentExecutions,
      deadLetterArn: properties.DeadLetterConfig?.TargetArn,
    };
  }

  private codePath(name: string, { S3Key, ZipFile }: FunctionProperties['Code']): string {
    if (ZipFile !== undefined) {
      const folder = mkdtempSync(path.join(this.folder, 'inline-'));
      writeFileSync(path.join(folder, 'index.js'), ZipFile);
      return folder;
    }
    const found = S3Key && this.options.assetPath(S3Key);
    if (!found) {
      throw new Error(
        `The code of ${name} is not in the cloud assembly: only assets and inline code run here`,
      );
    }
    if (!found.endsWith('.zip')) return found;
    const folder = mkdtempSync(path.join(this.folder, 'code-'));
    unpackZip(found, folder);
    return folder;
  }

  /** https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime */
  private childEnvironment(config: FunctionConfig): Record<string, string> {
    return {
      ...config.environment,
      ...this.context.endpoints(),
      _HANDLER: config.handler,
      AWS_REGION: PSEUDO_PARAMETERS['AWS::Region'],
      AWS_DEFAULT_REGION: PSEUDO_PARAMETERS['AWS::Region'],
      AWS_EXECUTION_ENV: `AWS_Lambda_${config.runtime}`,
      AWS_LAMBDA_FUNCTION_NAME: config.name,
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(config.memoryMiB),
      AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
      AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
      AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${config.name}`,
      AWS_LAMBDA_LOG_STREAM_NAME: 'local',
      AWS_LAMBDA_LOG_FORMAT: config.jsonLogs ? 'JSON' : 'Text',
      ...(config.jsonLogs && {
        AWS_LAMBDA_LOG_LEVEL: config.environment.AWS_LAMBDA_LOG_LEVEL ?? config.logLevel,
      }),
      AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true', // it would describe this machine's Node.js, not the deployed one
      LAMBDA_TASK_ROOT: config.codePath,
      NODE_PATH: [...this.layers.moduleFoldersOf(config.layers), this.sdkFolder].join(path.delimiter),
      LANG: 'en_US.UTF-8',
      TZ: ':UTC',
      PATH: '/usr/local/bin:/usr/bin:/bin',
    };
  }

  private functionArn(name: string): string {
    return this.context.arn('lambda', `function:${name}`);
  }

  /** What IAM checks: the version or alias that was named, too. */
  private invokedArn(name: string, qualifier: string | null): string {
    const named = name.startsWith('arn:') ? name.split(':')[7] : name.split(':')[1];
    const suffix = qualifier ?? named;
    return `${this.functionArn(this.find(name)?.name ?? name)}${suffix ? `:${suffix}` : ''}`;
  }

  /** The function that a version or an alias belongs to. */
  private functionOf(resource: Resource): string {
    const name = String(resource.resolve(resource.properties.FunctionName));
    return name.startsWith('arn:') ? name.split(':')[6] : name;
  }
}

/** As esbuild built it, once for all systems of this process: that starts a program. */
let builtRuntime: Uint8Array | undefined;

/**
 * The runtime of functions: built beforehand in the package, and by esbuild where this repository runs it.
 */
async function writeRuntime(file: string): Promise<void> {
  const built = path.join(__dirname, 'node-runtime.js');
  if (existsSync(built)) return copyFileSync(built, file);
  const { buildSync } = await import('esbuild');
  builtRuntime ??= buildSync({
    entryPoints: [path.join(__dirname, 'runtime', 'node-runtime.ts')],
    write: false,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    logLevel: 'error',
    tsconfigRaw: {},
  }).outputFiles[0].contents;
  writeFileSync(file, builtRuntime);
}

/**
 * Lambda's Node.js runtimes bring the AWS SDK with them, and nothing else; here it is that of the app.
 * @returns whether it has one
 */
function linkSdk(folder: string): boolean {
  mkdirSync(folder, { recursive: true });
  for (const scope of ['@aws-sdk', '@smithy']) {
    const installed = path.resolve('node_modules', scope);
    if (existsSync(installed)) symlinkSync(installed, path.join(folder, scope), 'junction');
  }
  return existsSync(path.join(folder, '@aws-sdk'));
}

function functionName({ properties, name }: Resource): string {
  return typeof properties.FunctionName === 'string' ? properties.FunctionName : name;
}

/**
 * What an extension does not see:
 * https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html#runtimes-extensions-environment-variables
 */
const HIDDEN_FROM_EXTENSIONS = [
  '_HANDLER',
  'LAMBDA_TASK_ROOT',
  'AWS_EXECUTION_ENV',
  'AWS_LAMBDA_LOG_GROUP_NAME',
  'AWS_LAMBDA_LOG_STREAM_NAME',
  'AWS_LAMBDA_LOG_FORMAT',
  'AWS_LAMBDA_LOG_LEVEL',
];

function extensionEnvironment(env: Record<string, string>, folder: string): Record<string, string> {
  return {
    ...Object.fromEntries(Object.entries(env).filter(([name]) => !HIDDEN_FROM_EXTENSIONS.includes(name))),
    // Environments share this machine's network and its /tmp, so an extension of ours is told where its own
    // place is.
    CRASH_REPORTER_LISTEN_HOST: '127.0.0.1',
    CRASH_REPORTER_STATE_DIR: path.join(folder, '.crash-reporter'),
    CRASH_REPORTER_TASK_ROOT: env.LAMBDA_TASK_ROOT,
  };
}
