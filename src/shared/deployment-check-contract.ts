/**
 * What the hook before a deployment's traffic and its handler agree on. Nothing is imported here: both sides
 * import this file.
 */

/** Names of the environment variables that the construct sets and the handler reads. */
export const CHECK_ENV = {
  /** The ARN of the new version, with its number. */
  version: 'VERSION_ARN',
  /** A `DeploymentProbe` as JSON. */
  probe: 'PROBE',
} as const;

/** A request that changes nothing, whatever the version does with it. */
export interface DeploymentProbe {
  readonly event: object;
  /** The status codes that a healthy version may answer it with. */
  readonly statusCodes: readonly number[];
}

/** The export of the bundle. */
export const CHECK_EXPORT = 'handler';
