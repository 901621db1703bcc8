/**
 * Where a service is: its endpoint in the function's region, or what the variables of every AWS SDK say.
 * https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
 */

export interface ServiceName {
  /** First label of the host name. */
  readonly endpointPrefix: string;
  /** What follows `AWS_ENDPOINT_URL_`. */
  readonly environmentName: string;
}

/**
 * Partitions by what their regions begin with; all others are in `aws` or `aws-us-gov`, which share a suffix.
 */
const DNS_SUFFIX: readonly (readonly [prefix: string, suffix: string])[] = [
  ['cn-', 'amazonaws.com.cn'],
  ['eusc-', 'amazonaws.eu'],
  ['us-iso-', 'c2s.ic.gov'],
  ['us-isob-', 'sc2s.sgov.gov'],
  ['us-isof-', 'csp.hci.ic.gov'],
  ['eu-isoe-', 'cloud.adc-e.uk'],
];

export interface Endpoint {
  readonly url: URL;
  /**
   * Whether somebody set it: then a bucket's name goes into the path, as no other host name is known to
   * resolve.
   */
  readonly configured: boolean;
}

export function regionOf(env: NodeJS.ProcessEnv): string {
  const region = env.AWS_REGION || env.AWS_DEFAULT_REGION;
  if (!region) throw new Error('The environment variable AWS_REGION is not set: Lambda sets it');
  return region;
}

export function endpointOf(
  { endpointPrefix, environmentName }: ServiceName,
  env: NodeJS.ProcessEnv,
): Endpoint {
  const configured =
    env.AWS_IGNORE_CONFIGURED_ENDPOINT_URLS === 'true'
      ? undefined
      : env[`AWS_ENDPOINT_URL_${environmentName}`] || env.AWS_ENDPOINT_URL;
  if (configured) return { url: parse(configured), configured: true };
  for (const name of ['AWS_USE_FIPS_ENDPOINT', 'AWS_USE_DUALSTACK_ENDPOINT']) {
    if (env[name] === 'true') {
      // Using a standard endpoint instead would silently break a rule.
      throw new Error(
        `${name} is set, and this handler knows no such endpoints: set AWS_ENDPOINT_URL_${environmentName} to the one to use`,
      );
    }
  }
  const region = regionOf(env);
  const suffix = DNS_SUFFIX.find(([prefix]) => region.startsWith(prefix))?.[1] ?? 'amazonaws.com';
  return { url: new URL(`https://${endpointPrefix}.${region}.${suffix}`), configured: false };
}

function parse(text: string): URL {
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) {
    throw new Error(
      `An endpoint must be a URL that begins with https:// or http://, got ${JSON.stringify(text)}`,
    );
  }
  return new URL(text);
}
