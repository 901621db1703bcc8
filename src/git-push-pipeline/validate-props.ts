import { Annotations, Duration, type Size, Token } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { isCommitKey, isDirectoryKey, keyTemplateProblem } from './object-key';
import type { GitPushPipelineProps } from './props';
import { refPatternProblem } from './refs';
import {
  credentialPattern,
  hostAndPort,
  parsePattern,
  patternsOverlap,
  type RepositoryPattern,
} from './repository-address';
import { validateHandlerProps } from '../shared/handler-function';
import { InvalidPropError, validateDuration, validateExclusive, validateInteger } from '../shared/validate';

/**
 * Of all environment variables of a function together.
 * https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
 */
const MAX_ENVIRONMENT_BYTES = 4096;
/** Room for what is known only at deployment: ARNs, URLs and names. */
const ENVIRONMENT_RESERVE_BYTES = 1024;

/** @returns the patterns of `repositories` */
export function validateProps(
  scope: Construct,
  props: GitPushPipelineProps,
  keyTemplate: string,
): RepositoryPattern[] {
  const fail = (message: string): never => {
    throw new InvalidPropError(scope, message);
  };
  validateHandlerProps(scope, props);
  validateInteger(scope, 'maxReceiveCount', props.maxReceiveCount, 1, 100);
  validateInteger(scope, 'workMemorySize', props.workMemorySize, 512, 10_240);
  if (props.workTimeout?.isUnresolved()) {
    fail("`workTimeout` must be known at synth, because the queue's visibility timeout is made from it");
  }
  validateDuration(scope, 'workTimeout', props.workTimeout, Duration.seconds(10), Duration.minutes(15));
  validateStorage(props.ephemeralStorageSize, fail);
  validateExclusive(
    scope,
    props,
    'bucket',
    'serverAccessLogsBucket',
    'access logs are set on the bucket that you pass',
  );
  validateExclusive(
    scope,
    props,
    'bucket',
    'removalPolicy',
    '`removalPolicy` describes a new bucket, set it on the one that you pass',
  );
  const patterns = validateRepositories(props, fail);
  if (patterns.length > 0 && !props.webhookSecret && !props.authorizer) {
    fail(
      '`webhookSecret` or `authorizer` is required: without one, anybody could have your repositories fetched and zipped',
    );
  }
  if (props.path !== undefined && !/^\/([A-Za-z0-9._~-]+(\/[A-Za-z0-9._~-]+)*)?$/.test(props.path)) {
    fail(
      `\`path\` must begin with a slash and have no empty part, for instance "/pushes", got "${props.path}"`,
    );
  }
  const problem = keyTemplateProblem(keyTemplate);
  if (problem) fail(`\`keyTemplate\` "${keyTemplate}" cannot be used: ${problem}`);
  validateRefs(props, fail);
  validatePaths(props, fail);
  validateSplit(props, keyTemplate, fail);
  validateCredentials(props, patterns, fail);
  if (
    props.certificateAuthority !== undefined &&
    !props.certificateAuthority.includes('-----BEGIN CERTIFICATE-----')
  ) {
    fail(
      '`certificateAuthority` must hold certificates in PEM form, which begin with "-----BEGIN CERTIFICATE-----"',
    );
  }
  if (props.proxyUrl !== undefined && !/^https?:\/\/[^@/?#]+\/?$/.test(props.proxyUrl)) {
    fail(
      '`proxyUrl` must be http://host:port or https://host:port, without a login: it would be readable in the template',
    );
  }
  validateEnvironmentSize(props, keyTemplate, fail);
  warn(scope, props, patterns, keyTemplate);
  return patterns;
}

type Fail = (message: string) => never;

function validateStorage(size: Size | undefined, fail: Fail): void {
  if (size === undefined) return;
  if (size.isUnresolved()) {
    fail('`ephemeralStorageSize` must be known at synth, because the limits of a push are made from it');
  }
  const mebibytes = size.toMebibytes();
  if (mebibytes < 512 || mebibytes > 10_240) {
    fail(`\`ephemeralStorageSize\` must be from 512 MiB to 10 GiB, got ${mebibytes} MiB`);
  }
}

function validateRepositories(
  { repositories, codeCommitRepositories = [] }: GitPushPipelineProps,
  fail: Fail,
): RepositoryPattern[] {
  if (repositories.length === 0 && codeCommitRepositories.length === 0) {
    fail('`repositories` must name at least one repository, for instance "github.com/acme/*"');
  }
  return repositories.map(repository => {
    if (Token.isUnresolved(repository)) {
      fail("`repositories` must be known at synth: the work function's permissions are made from them");
    }
    try {
      return parsePattern(repository);
    } catch (error) {
      return fail(`\`repositories\`: ${(error as Error).message}`);
    }
  });
}

/** A pattern that can never match deploys without an error, and nothing is ever published. */
function validateRefs({ branches, tags }: GitPushPipelineProps, fail: Fail): void {
  for (const [prop, patterns] of Object.entries({ branches, tags })) {
    for (const pattern of patterns ?? []) {
      const problem = Token.isUnresolved(pattern) ? undefined : refPatternProblem(pattern);
      if (problem) fail(`\`${prop}\` has "${pattern}", which can never match: ${problem}`);
    }
  }
  if (branches?.length === 0 && tags?.length === 0) {
    fail('`branches` and `tags` are both empty: no push would ever be taken');
  }
}

function validatePaths({ paths }: GitPushPipelineProps, fail: Fail): void {
  if (paths?.length === 0) fail('`paths` is empty: no change would ever count. Leave it out to take any');
  for (const pattern of paths ?? []) {
    if (Token.isUnresolved(pattern)) continue;
    const why = pattern.startsWith('!')
      ? 'patterns cannot exclude'
      : pattern.endsWith('/')
        ? `write "${pattern}**" for all files below a directory`
        : pattern.split('/').some(part => ['', '.', '..'].includes(part))
          ? 'paths begin at the top of the repository, without a slash, and have no empty part, "." or ".."'
          : undefined;
    if (why) fail(`\`paths\` has "${pattern}", which can never match: ${why}`);
  }
}

function validateSplit(props: GitPushPipelineProps, keyTemplate: string, fail: Fail): void {
  const { splitBy } = props;
  if (splitBy === undefined) {
    if (isDirectoryKey(keyTemplate)) fail('`keyTemplate` has {dir}, which needs `splitBy`');
    return;
  }
  if (!/^[^/]+(\/[^/]+)*$/.test(splitBy) || splitBy.split('/').some(part => part === '.' || part === '..')) {
    fail(`\`splitBy\` must be the pattern of a directory such as "services/*", got "${splitBy}"`);
  }
  if (!isDirectoryKey(keyTemplate) || isCommitKey(keyTemplate)) {
    fail(
      `\`splitBy\` needs a \`keyTemplate\` with {dir} and without {commit}, such as "{host}/{path}/{ref}/{dir}.zip", got "${keyTemplate}"`,
    );
  }
  for (const other of ['paths', 'fetchSubmodules'] as const) {
    if (props[other]) fail(`\`splitBy\` cannot be combined with \`${other}\``);
  }
}

function validateCredentials(
  { credentials = {} }: GitPushPipelineProps,
  patterns: RepositoryPattern[],
  fail: Fail,
): void {
  const known = Object.entries(credentials).map(([text, credential]) => {
    try {
      return { text, credential, pattern: credentialPattern(text) };
    } catch (error) {
      return fail(`\`credentials\`: ${(error as Error).message}`);
    }
  });
  for (const [index, { text, credential, pattern }] of known.entries()) {
    const { _kind, _knownHosts } = credential;
    if (!patterns.some(other => hostAndPort(other) === hostAndPort(pattern) || other.host === text)) {
      fail(`\`credentials\` names "${text}", and \`repositories\` has no repository of its host`);
    }
    const usable = patterns.some(
      other =>
        patternsOverlap(other, pattern) &&
        (other.scheme ?? schemeOf(_kind)) === (pattern.scheme ?? schemeOf(_kind)),
    );
    if (!usable) {
      fail(
        `\`credentials\` names "${text}" for ${schemeOf(_kind).toUpperCase()}, and no pattern of \`repositories\` matches a repository of it: it would never be used`,
      );
    }
    const twin = known.slice(index + 1).find(other => samePattern(other.pattern, pattern));
    if (twin) fail(`\`credentials\` has two entries for the same repositories: "${text}" and "${twin.text}"`);
    if (
      _kind === 'ssh' &&
      !Token.isUnresolved(_knownHosts) &&
      !/^(?!\s*#).*\S+\s+\S+\s+\S+/m.test(_knownHosts ?? '')
    ) {
      fail(
        `\`credentials\` for "${text}": \`knownHosts\` must have at least one line such as "${pattern.host} ssh-ed25519 AAAA…"`,
      );
    }
  }
  for (const pattern of patterns.filter(other => other.scheme === 'ssh')) {
    const has = known.some(
      other => other.credential._kind === 'ssh' && patternsOverlap(other.pattern, pattern),
    );
    if (!has) {
      fail(
        `\`repositories\` names repositories of ${pattern.host} by SSH, which needs a key: add "${pattern.host}" to \`credentials\`, with \`GitCredentials.sshKey\``,
      );
    }
  }
}

function schemeOf(kind: 'ssh' | 'https' | 'githubApp'): 'ssh' | 'https' {
  return kind === 'ssh' ? 'ssh' : 'https';
}

function samePattern(a: RepositoryPattern, b: RepositoryPattern): boolean {
  const text = ({ host, port, segments, scheme }: RepositoryPattern): string =>
    JSON.stringify([host, port, segments, scheme]);
  return text(a) === text(b);
}

function validateEnvironmentSize(props: GitPushPipelineProps, keyTemplate: string, fail: Fail): void {
  const knownHosts = Object.values(props.credentials ?? {}).map(({ _knownHosts }) => _knownHosts ?? '');
  const common = JSON.stringify(props.repositories);
  const accept = common + JSON.stringify([props.branches, props.tags]);
  const work =
    common +
    JSON.stringify([props.branches, props.tags, props.paths]) +
    keyTemplate +
    (props.certificateAuthority ?? '') +
    (props.proxyUrl ?? '') +
    JSON.stringify(knownHosts);
  const bytes = Math.max(Buffer.byteLength(accept), Buffer.byteLength(work));
  const most = MAX_ENVIRONMENT_BYTES - ENVIRONMENT_RESERVE_BYTES;
  if (bytes > most) {
    fail(
      `The settings are ${bytes} bytes long, more than the ${most} that fit into a function's environment: use fewer patterns in ` +
        '`repositories`, one line for a host in `knownHosts`, or one certificate in `certificateAuthority`',
    );
  }
}

function warn(
  scope: Construct,
  props: GitPushPipelineProps,
  patterns: RepositoryPattern[],
  keyTemplate: string,
): void {
  if (props.allowPrivateHosts) {
    Annotations.of(scope).addWarningV2(
      'cdk-serverless-blocks:git-push-pipeline.allowPrivateHosts',
      '`allowPrivateHosts` lets the DNS of an allowed git host lead the work function to private addresses: use it for a git host inside the VPC only',
    );
  }
  const wild = patterns.filter(hasWildcard).length;
  if (props.reconcile && wild > 0) {
    Annotations.of(scope).addWarningV2(
      'cdk-serverless-blocks:git-push-pipeline.reconcileWildcard',
      `\`reconcile\` leaves out the ${wild} of \`repositories\` that have a wildcard: only the git host knows what they stand for. Name the repositories`,
    );
  }
  const oneRepository =
    patterns.length + (props.codeCommitRepositories?.length ?? 0) === 1 && !patterns.some(hasWildcard);
  const tellsRepository = oneRepository || (keyTemplate.includes('{host}') && keyTemplate.includes('{path}'));
  if (!isCommitKey(keyTemplate) && !(keyTemplate.includes('{ref}') && tellsRepository)) {
    Annotations.of(scope).addWarningV2(
      'cdk-serverless-blocks:git-push-pipeline.sharedKey',
      `with the \`keyTemplate\` "${keyTemplate}" pushes of different sources replace each other: add {host}, {path} and {ref}, or {commit}`,
    );
  }
}

export function hasWildcard({ segments }: RepositoryPattern): boolean {
  return segments.some(segment => segment.includes('*'));
}
