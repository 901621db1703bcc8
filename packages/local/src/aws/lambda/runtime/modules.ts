/**
 * What a function may load: what is in its own code, what Node.js brings, and the SDK of the runtime. Its
 * code is often in a `cdk.out` below the app's node_modules. What Node.js would find there is not deployed
 * with the function, so it is not found here either.
 */
import Module, { createRequire, register } from 'node:module';
import * as path from 'node:path';
import { pathToFileURL } from 'node:url';

const OF_RUNTIME = /^@(aws-sdk|smithy)\//;
const HINT = "(it is not in the function's asset, so it would not be there on AWS)";

interface Loader {
  _resolveFilename(request: string, parent: { filename?: string } | undefined, ...rest: unknown[]): string;
}

/**
 * @param root the folder of the function's code, without symbolic links in its path
 * @param layers the folders of its layers' modules
 */
export function confineRequire(root: string, layers: readonly string[]): void {
  const loader = Module as unknown as Loader;
  const original = loader._resolveFilename;
  const isOwn = (file: string | undefined) =>
    [root, ...layers].some(folder => file?.startsWith(folder + path.sep));
  loader._resolveFilename = function (request, parent, ...rest) {
    const file = original.call(this, request, parent, ...rest);
    if (!isOwn(parent?.filename) || !path.isAbsolute(file) || isOwn(file) || OF_RUNTIME.test(request)) {
      return file;
    }
    const message = `Cannot find module '${request}' ${HINT}\nRequire stack:\n- ${parent?.filename}`;
    throw Object.assign(new Error(message), { code: 'MODULE_NOT_FOUND' });
  };
}

/**
 * The same for `import`, which knows no NODE_PATH either. It takes a thread of its own, so only functions
 * that are ES modules get it.
 *
 * @param runtimeModules the folder that holds the runtime's `node_modules`
 */
function confineImport(root: string, runtimeModules: string): void {
  const data = {
    root: `${pathToFileURL(root).href}/`,
    runtime: pathToFileURL(path.join(runtimeModules, 'x.js')).href,
    ofRuntime: OF_RUNTIME.source,
    hint: HINT,
  };
  register(`data:text/javascript,${encodeURIComponent(HOOK)}`, {
    parentURL: pathToFileURL(__filename),
    data,
  });
}

/** Runs in a thread of its own, where nothing of this file is. */
const HOOK = `
let data;
export const initialize = given => { data = given; };
export async function resolve(specifier, context, next) {
  if (!context.parentURL?.startsWith(data.root)) return next(specifier, context);
  const ofRuntime = new RegExp(data.ofRuntime).test(specifier);
  let found;
  try {
    found = await next(specifier, context);
  } catch (error) {
    if (!ofRuntime || error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
    return next(specifier, { ...context, parentURL: data.runtime });
  }
  if (ofRuntime || !found.url.startsWith('file:') || found.url.startsWith(data.root)) return found;
  const error = new Error("Cannot find package '" + specifier + "' imported from " + context.parentURL + ' ' + data.hint);
  throw Object.assign(error, { code: 'ERR_MODULE_NOT_FOUND' });
}
`;

/** Loads a file as what it is: by its name, or by the \`type\` of its package. */
export async function loadModule(
  file: string,
  root: string,
  runtimeModules: string,
): Promise<Record<string, unknown>> {
  const asModule = async () => {
    confineImport(root, runtimeModules);
    return (await import(pathToFileURL(file).href)) as Record<string, unknown>;
  };
  if (file.endsWith('.mjs')) return asModule();
  try {
    return createRequire(file)(file) as Record<string, unknown>;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_REQUIRE_ESM') throw error;
    return asModule();
  }
}
