import { Duration, Size, Stack } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as s3 from 'aws-cdk-lib/aws-s3';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { type CredentialReference, ENV, EVENT_SOURCE, EXPORT, WORK_NODE_OPTIONS } from './contract';
import { keyPatterns } from './object-key';
import type { GitPushPipelineProps } from './props';
import { credentialPattern, hostAndPort, type RepositoryPattern } from './repository-address';
import { hasWildcard } from './validate-props';
import { grantPutEvents } from '../shared/event-bus';
import { createHandlerFunction } from '../shared/handler-function';
import { grantKey } from '../shared/key';
import { consumeQueue, grantQueueSend } from '../shared/queue-with-dead-letters';
import { grantSecretValue } from '../shared/secret';

const DEFAULT_WORK_MEMORY_SIZE = 1769;
const DEFAULT_EPHEMERAL_STORAGE = Size.gibibytes(2);
const DEFAULT_MAX_CONCURRENCY = 10;
export const DEFAULT_WORK_TIMEOUT = Duration.minutes(5);

/** What the functions are made of. */
export interface Parts {
  readonly scope: Construct;
  readonly props: GitPushPipelineProps;
  readonly keyTemplate: string;
  readonly patterns: readonly RepositoryPattern[];
  readonly bucket: s3.IBucket;
  readonly queue: sqs.Queue;
  readonly deadLetterQueue: sqs.IQueue;
  readonly maxReceiveCount: number;
}

export function createAcceptFunction(parts: Parts): lambda.Function {
  const { scope, props, queue } = parts;
  const sshPatterns = Object.entries(props.credentials ?? {})
    .filter(([, { _kind }]) => _kind === 'ssh')
    .map(([pattern]) => pattern);
  const fn = createHandlerFunction(
    scope,
    'AcceptHandler',
    {
      description: 'Checks webhooks of git hosts and queues their pushes',
      asset: 'git-push-pipeline/accept',
      export: EXPORT,
      environment: {
        ...commonEnvironment(parts),
        ...(props.webhookSecret && { [ENV.webhookSecretArn]: props.webhookSecret._secret.secretArn }),
        ...(props.authorizer && { [ENV.hasAuthorizer]: 'true' }),
        ...jsonVariables({ [ENV.sshPatterns]: sshPatterns.length > 0 ? sshPatterns : undefined }),
      },
    },
    props,
  );
  grantQueueSend(queue, fn);
  if (props.webhookSecret) grantSecretValue(props.webhookSecret._secret, fn);
  return fn;
}

export function createWorkFunction(parts: Parts): lambda.Function {
  const { scope, props, bucket, queue, deadLetterQueue } = parts;
  const storage = props.ephemeralStorageSize ?? DEFAULT_EPHEMERAL_STORAGE;
  const references = credentialReferences(props);
  const fn = createHandlerFunction(
    scope,
    'WorkHandler',
    {
      description: 'Fetches what refs hold and stores it as zips',
      asset: 'git-push-pipeline/work',
      export: EXPORT,
      ephemeralStorageSize: storage,
      environment: {
        NODE_OPTIONS: WORK_NODE_OPTIONS,
        ...commonEnvironment(parts),
        ...jsonVariables({ [ENV.paths]: props.paths }),
        ...(props.splitBy !== undefined && { [ENV.splitBy]: props.splitBy }),
        ...(references.length > 0 && { [ENV.credentials]: Stack.of(scope).toJsonString(references) }),
        ...(props.allowPrivateHosts && { [ENV.allowPrivateHosts]: 'true' }),
        ...(props.certificateAuthority && { [ENV.certificateAuthority]: props.certificateAuthority }),
        ...(props.proxyUrl && { [ENV.proxyUrl]: props.proxyUrl }),
        ...(props.addCommitFiles === false && { [ENV.addCommitFiles]: 'false' }),
        ...(props.fetchSubmodules && { [ENV.fetchSubmodules]: 'true' }),
        ...(props.windowsSafeNames && { [ENV.windowsSafeNames]: 'true' }),
        [ENV.bucketName]: bucket.bucketName,
        [ENV.keyTemplate]: parts.keyTemplate,
        [ENV.deadLetterQueueUrl]: deadLetterQueue.queueUrl,
        [ENV.maxReceiveCount]: String(parts.maxReceiveCount),
        [ENV.ephemeralStorageMib]: String(storage.toMebibytes()),
        [ENV.eventBusName]: props.eventBus?.eventBusName ?? 'default',
      },
    },
    {
      ...props,
      memorySize: props.workMemorySize ?? DEFAULT_WORK_MEMORY_SIZE,
      timeout: props.workTimeout ?? DEFAULT_WORK_TIMEOUT,
    },
  );
  const { maxConcurrency, reservedConcurrentExecutions: reserved } = props;
  consumeQueue(scope, queue, fn, 1, {
    prop: 'maxConcurrency',
    maxConcurrency: maxConcurrency ?? (reserved === undefined ? DEFAULT_MAX_CONCURRENCY : undefined),
    reserved,
  });
  queue.grant(fn, 'sqs:ChangeMessageVisibility'); // a push that is to be tried later is put off
  grantQueueSend(deadLetterQueue, fn);
  for (const { _secret } of Object.values(props.credentials ?? {})) grantSecretValue(_secret, fn);
  grantObjects(parts, fn);
  grantPutEvents(fn, parts.scope, parts.props.eventBus, EVENT_SOURCE);
  return fn;
}

function credentialReferences({ credentials = {} }: GitPushPipelineProps): CredentialReference[] {
  return Object.entries(credentials).map(([pattern, { _kind, _secret, _knownHosts, _appId }]) => {
    const common = { pattern, secretArn: _secret.secretArn };
    if (_kind === 'ssh') return { ...common, kind: _kind, knownHosts: _knownHosts! };
    if (_kind === 'https') return { ...common, kind: _kind };
    const host = hostAndPort(credentialPattern(pattern));
    const apiUrl = host === 'github.com' ? 'https://api.github.com' : `https://${host}/api/v3`;
    return { ...common, kind: _kind, appId: _appId!, apiUrl };
  });
}

export function addCodeCommit({ scope, props }: Parts, accept: lambda.Function, work: lambda.Function): void {
  const { codeCommitRepositories = [] } = props;
  if (codeCommitRepositories.length === 0) return;
  const resources = codeCommitRepositories.map(({ repositoryArn }) => repositoryArn);
  iam.Grant.addToPrincipal({ grantee: work, actions: ['codecommit:GitPull'], resourceArns: resources });
  new events.Rule(scope, 'CodeCommitRule', {
    description: 'Hands pushes to CodeCommit repositories to the accept function',
    eventPattern: {
      source: ['aws.codecommit'],
      detailType: ['CodeCommit Repository State Change'],
      resources,
    },
    targets: [new targets.LambdaFunction(accept)],
  });
}

/** A rule for each repository that is known by name: only the git host knows what a wildcard stands for. */
export function addReconciliation(parts: Parts, accept: lambda.Function, work: lambda.Function): void {
  const { scope, props, patterns, queue } = parts;
  if (props.reconcile === undefined) return;
  // Whether it is cloned by HTTPS or by SSH is decided where it is decided for its pushes.
  const named = props.repositories.filter((_, index) => !hasWildcard(patterns[index]));
  for (const [index, repository] of [...named, ...codeCommitAddresses(parts)].entries()) {
    new events.Rule(scope, `ReconcileRule${index}`, {
      description: 'Has the refs of a repository compared with what is stored',
      schedule: props.reconcile,
      targets: [
        new targets.LambdaFunction(accept, {
          event: events.RuleTargetInput.fromObject({ reconcile: repository, id: events.EventField.eventId }),
        }),
      ],
    });
  }
  grantQueueSend(queue, work);
}

function commonEnvironment(parts: Parts): Record<string, string> {
  const { scope, props, queue } = parts;
  const codeCommit = codeCommitAddresses(parts).map(address => address.replace('https://', ''));
  return {
    [ENV.repositories]: Stack.of(scope).toJsonString([...props.repositories, ...codeCommit]),
    [ENV.queueUrl]: queue.queueUrl,
    ...jsonVariables({ [ENV.branches]: props.branches, [ENV.tags]: props.tags }),
    ...(codeCommit.length > 0 && { [ENV.codeCommitUrlSuffix]: Stack.of(scope).urlSuffix }),
  };
}

function codeCommitAddresses({ scope, props: { codeCommitRepositories = [] } }: Parts): string[] {
  return codeCommitRepositories.map(
    ({ repositoryName }) => `https://${codeCommitHost(scope)}/v1/repos/${repositoryName}`,
  );
}

function codeCommitHost(scope: Construct): string {
  const { region, urlSuffix } = Stack.of(scope);
  return `git-codecommit.${region}.${urlSuffix}`;
}

/**
 * No more than the keys that pushes of the listed repositories can have. It reads what is to be replaced, or
 * left as it is.
 */
function grantObjects({ scope, props, patterns, bucket, keyTemplate }: Parts, grantee: iam.IGrantable): void {
  const { encryptionKey, codeCommitRepositories = [], splitBy } = props;
  grantKey(encryptionKey, 's3', grantee, 'kms:Decrypt', 'kms:GenerateDataKey');
  const codeCommit = codeCommitRepositories.map(
    ({ repositoryName }): RepositoryPattern => ({
      host: codeCommitHost(scope),
      segments: ['v1', 'repos', repositoryName],
    }),
  );
  iam.Grant.addToPrincipal({
    grantee,
    actions: ['s3:GetObject', 's3:PutObject'],
    resourceArns: keyPatterns(keyTemplate, [...patterns, ...codeCommit], splitBy).map(pattern =>
      bucket.arnForObjects(pattern),
    ),
  });
}

function jsonVariables(values: Record<string, readonly string[] | undefined>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, JSON.stringify(value)]],
    ),
  );
}
