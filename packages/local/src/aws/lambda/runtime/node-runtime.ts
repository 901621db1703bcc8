/**
 * The Node.js side of an execution environment: loads a handler and serves the Runtime API's loop, as
 * Lambda's own runtime does.
 * https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
 *
 * It runs alone in the child process of a function, with nothing but Node.js.
 */
import { existsSync, realpathSync, writeSync } from 'node:fs';
import * as http from 'node:http';
import * as path from 'node:path';
import { format } from 'node:util';
import { confineRequire, loadModule } from './modules';

type Handler = (
  event: unknown,
  context: unknown,
  callback?: (error: unknown, result?: unknown) => void,
) => unknown;

const {
  AWS_LAMBDA_RUNTIME_API: api = '',
  _HANDLER: handlerName = '',
  LAMBDA_TASK_ROOT: taskRoot = '.',
  NODE_PATH: modules = '',
} = process.env;
const root = existsSync(taskRoot) ? realpathSync(taskRoot) : taskRoot;
/** Those of the function's layers, then the runtime's own. */
const moduleFolders = modules.split(path.delimiter);
const jsonLogs = process.env.AWS_LAMBDA_LOG_FORMAT === 'JSON';
/** Where it is set, log records go there in frames, so that one may have several lines. */
const logPipe = Number(process.env._LAMBDA_TELEMETRY_LOG_FD ?? 0);
delete process.env._LAMBDA_TELEMETRY_LOG_FD;
const agent = new http.Agent({ keepAlive: true });
let requestId: string | undefined;
/** Ends the wait for a handler that can never answer. */
let giveUp: ((error: Error) => void) | undefined;

class RuntimeError extends Error {
  public constructor(
    public readonly errorType: string,
    message: string,
  ) {
    super(message);
    this.name = errorType;
  }
}

async function main(): Promise<void> {
  patchConsole();
  // Nobody reads any more: the runner was killed. Logging that would be the next such error, for ever and at
  // full speed.
  process.stdout.on('error', () => process.exit(1));
  process.on('uncaughtException', error => dieOf('Uncaught Exception', error, 129));
  process.on('unhandledRejection', reason => {
    const error = new RuntimeError('Runtime.UnhandledPromiseRejection', String(reason));
    const { errorType, errorMessage, trace } = describeError(reason);
    dieOf(
      'Unhandled Promise Rejection',
      Object.assign(error, {
        reason: { errorType, errorMessage, [jsonLogs ? 'stackTrace' : 'stack']: trace },
      }),
      128,
    );
  });
  // The event loop is empty although the handler has not answered: its promise can never settle.
  process.on('beforeExit', () => {
    if (!giveUp) return;
    const error = new RuntimeError(
      'Runtime.NodeJsExit',
      'The Lambda runtime client detected an unexpected Node.js exit',
    );
    setImmediate(giveUp, error); // something to do, or the process would end before the error is reported
  });
  let handler: Handler;
  try {
    handler = await loadHandler();
  } catch (error) {
    logError('Uncaught Exception', error);
    await postError('init/error', error);
    process.exit(1);
  }
  for (;;) await serveOne(handler);
}

async function serveOne(handler: Handler): Promise<void> {
  const { headers, body } = await call('GET', 'invocation/next');
  const id = String(headers['lambda-runtime-aws-request-id']);
  requestId = id;
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  process.env._X_AMZN_TRACE_ID = String(headers['lambda-runtime-trace-id'] ?? '');
  const context = {
    awsRequestId: id,
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    callbackWaitsForEmptyEventLoop: true,
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
  try {
    const result = await run(handler, JSON.parse(body || 'null'), context);
    await call('POST', `invocation/${id}/response`, JSON.stringify(result) ?? 'null');
  } catch (error) {
    logError('Invoke Error', error);
    await postError(`invocation/${id}/error`, error);
  } finally {
    giveUp = undefined;
  }
}

function run(handler: Handler, event: unknown, context: unknown): Promise<unknown> {
  const answer = new Promise((resolve, reject) => {
    const result = handler(event, context, (error, value) => (error ? reject(error) : resolve(value)));
    if (handler.length < 3 || result instanceof Promise) resolve(result);
  });
  // Not the answer's own `reject`: a promise that waits for another one can no longer be rejected.
  return Promise.race([
    answer,
    new Promise((_, reject) => {
      giveUp = reject;
    }),
  ]);
}

async function loadHandler(): Promise<Handler> {
  const match = /^(.*)\.([^./]+)$/.exec(handlerName);
  if (!match) {
    throw new RuntimeError(
      'Runtime.MalformedHandlerName',
      `Bad handler "${handlerName}": it must be file.export`,
    );
  }
  const [, file, name] = match;
  const base = path.resolve(root, file);
  const found = ['.js', '.mjs', '.cjs'].map(extension => base + extension).find(existsSync);
  if (!found) throw new RuntimeError('Runtime.ImportModuleError', `Error: Cannot find module '${file}'`);
  const loaded = await load(found);
  const handler = loaded[name] ?? (loaded.default as Record<string, unknown> | undefined)?.[name];
  if (handler === undefined) {
    throw new RuntimeError('Runtime.HandlerNotFound', `${handlerName} is undefined or not exported`);
  }
  if (typeof handler !== 'function') {
    throw new RuntimeError('Runtime.HandlerNotFound', `${handlerName} is not a function`);
  }
  return handler as Handler;
}

async function load(file: string): Promise<Record<string, unknown>> {
  try {
    confineRequire(root, moduleFolders.slice(0, -1));
    return await loadModule(file, root, path.dirname(moduleFolders.at(-1)!));
  } catch (error) {
    const { code, message, stack } = error as NodeJS.ErrnoException;
    const type =
      error instanceof SyntaxError
        ? 'Runtime.UserCodeSyntaxError'
        : code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND'
          ? 'Runtime.ImportModuleError'
          : undefined;
    if (!type) throw error;
    throw Object.assign(new RuntimeError(type, `${(error as Error).name}: ${message}`), { stack });
  }
}

function call(
  method: string,
  resource: string,
  body?: string,
  headers: http.OutgoingHttpHeaders = {},
): Promise<{ headers: http.IncomingHttpHeaders; body: string }> {
  return new Promise((resolve, reject) => {
    const request = http.request(
      `http://${api}/2018-06-01/runtime/${resource}`,
      { method, agent, headers },
      response => {
        const chunks: Buffer[] = [];
        response.on('data', chunk => chunks.push(chunk as Buffer));
        response.on('end', () =>
          resolve({ headers: response.headers, body: Buffer.concat(chunks).toString('utf8') }),
        );
        response.on('error', reject);
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

async function postError(resource: string, error: unknown): Promise<void> {
  const { errorType, errorMessage, trace } = describeError(error);
  await call('POST', resource, JSON.stringify({ errorType, errorMessage, trace }), {
    'lambda-runtime-function-error-type': errorType,
  });
}

function describeError(error: unknown): { errorType: string; errorMessage: string; trace: string[] } {
  if (!(error instanceof Error)) return { errorType: typeof error, errorMessage: String(error), trace: [] };
  return { errorType: error.name, errorMessage: error.message, trace: error.stack?.split('\n') ?? [] };
}

function dieOf(label: string, error: unknown, exitCode: number): void {
  logError(label, error);
  const resource = requestId ? `invocation/${requestId}/error` : 'init/error';
  void postError(resource, error).finally(() => process.exit(exitCode));
}

/**
 * The two shapes in which Lambda's own runtime writes an error down. In JSON, its own errors are named by
 * their class.
 */
function logError(label: string, error: unknown): void {
  const { errorType, errorMessage, trace } = describeError(error);
  const own =
    error instanceof Error
      ? Object.fromEntries(Object.entries(error).filter(([key]) => key !== 'errorType' && key !== 'name'))
      : {};
  if (jsonLogs) {
    const message = {
      errorType: errorType.replace(/^Runtime\./, ''),
      errorMessage,
      stackTrace: trace,
      ...own,
    };
    writeLine({ timestamp: new Date().toISOString(), level: 'ERROR', requestId, message });
    return;
  }
  const line = JSON.stringify({ errorType, errorMessage, ...own, stack: trace });
  write(`${new Date().toISOString()}\t${requestId}\tERROR\t${label} \t${line}\n`);
}

function patchConsole(): void {
  const levels = {
    trace: 'TRACE',
    debug: 'DEBUG',
    log: 'INFO',
    info: 'INFO',
    warn: 'WARN',
    error: 'ERROR',
  } as const;
  for (const [method, level] of Object.entries(levels) as [keyof typeof levels, string][]) {
    console[method] = (...args: unknown[]) => {
      const timestamp = new Date().toISOString();
      if (jsonLogs) {
        writeLine({ timestamp, level, requestId, message: format(...args) });
      } else {
        write(
          `${timestamp}\t${requestId}\t${level}\t${logPipe ? format(...args) : format(...args).replace(/\n/g, '\r')}\n`,
        );
      }
    };
  }
}

function writeLine(line: Record<string, unknown>): void {
  write(`${JSON.stringify(line)}\n`);
}

function write(text: string): void {
  if (!logPipe) return void process.stdout.write(text);
  const record = Buffer.from(text);
  const header = Buffer.alloc(16);
  header.writeUInt32BE(0xa55a0003, 0);
  header.writeUInt32BE(record.length, 4);
  header.writeBigUInt64BE(BigInt(Date.now()) * 1000n, 8);
  writeSync(logPipe, Buffer.concat([header, record]));
}

void main();
