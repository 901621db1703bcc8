import { Duration, Token } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import type { WebhookRunnerProps } from './props';
import { validateSources } from './s3-source';
import { validateHandlerProps } from '../shared/handler-function';
import { InvalidPropError, validateDuration, validateInteger } from '../shared/validate';

const HOST =
  /^(\*\.)?([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?$|^\[[0-9a-f:.]+\]$/i;

/** Checks what a user wrote; each message says what is allowed. */
export function validateProps(scope: Construct, props: WebhookRunnerProps): void {
  validateHandlerProps(scope, props);
  validateInteger(scope, 'batchSize', props.batchSize, 1, 10_000);
  validateInteger(scope, 'maxBatchBytes', props.maxBatchBytes, 1024, props.destination._maxBatchBytes);
  validateInteger(scope, 'requestsPerMinute', props.requestsPerMinute, 1, 1_000_000);
  validateInteger(scope, 'concurrency', props.concurrency, 1, 16);
  validateInteger(scope, 'runMemorySize', props.runMemorySize, 128, 10_240);
  validateDuration(scope, 'runTimeout', props.runTimeout, Duration.seconds(10), Duration.minutes(5));
  validateDuration(scope, 'maxRunDuration', props.maxRunDuration, Duration.minutes(1), Duration.days(3));
  validateDuration(scope, 'patience', props.patience, Duration.minutes(1), Duration.days(3));
  const { failureThreshold: threshold } = props;
  if (threshold !== undefined && !Token.isUnresolved(threshold) && !(threshold >= 0 && threshold <= 1)) {
    throw new InvalidPropError(scope, `\`failureThreshold\` must be a share from 0 to 1, got ${threshold}`);
  }
  if (!props.apiKey && !props.authorizer) {
    throw new InvalidPropError(
      scope,
      '`apiKey` or `authorizer` is required: without one, anybody could start runs',
    );
  }
  validateHosts(scope, props.allowedHosts);
  validateSources(scope, props.sources);
  const plain = props.destination._plainUrl;
  if (plain !== undefined && !props.allowPrivateHosts) {
    throw new InvalidPropError(scope, `\`destination\` must be an https URL, got ${JSON.stringify(plain)}`);
  }
  if (
    props.tenantId !== undefined &&
    !Token.isUnresolved(props.tenantId) &&
    !/^[\x21-\x7e]{1,256}$/.test(props.tenantId)
  ) {
    throw new InvalidPropError(
      scope,
      `\`tenantId\` must be 1 to 256 visible ASCII characters: it is sent as a header, got ${JSON.stringify(props.tenantId)}`,
    );
  }
}

function validateHosts(scope: Construct, hosts: string[]): void {
  if (Token.isUnresolved(hosts)) return;
  if (hosts.length === 0) {
    throw new InvalidPropError(
      scope,
      '`allowedHosts` must name at least one host: no request could be accepted',
    );
  }
  for (const host of hosts) {
    if (Token.isUnresolved(host) || HOST.test(host)) continue;
    throw new InvalidPropError(
      scope,
      `\`allowedHosts\` must be hosts such as "files.example.com" or "*.example.com", without scheme, port or path, got ${JSON.stringify(host)}`,
    );
  }
}
