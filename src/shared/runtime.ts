/**
 * The one Node.js runtime of every handler, and the esbuild target that goes with it.
 *
 * Ours and not `lambda.Runtime.NODEJS_LATEST`: that is a token, follows the user's CDK version and puts a
 * table of regions into stacks without an environment. Nothing is imported here, so the bundler can read this
 * file too.
 */
export const NODEJS_RUNTIME = 'nodejs24.x';

/** The lower of the runtime above and the oldest Node.js that builds and tests this library. */
export const ESBUILD_TARGET = 'node20';
