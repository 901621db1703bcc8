import { Duration } from 'aws-cdk-lib';
import * as apigwv2 from 'aws-cdk-lib/aws-apigatewayv2';
import type * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type * as codepipeline from 'aws-cdk-lib/aws-codepipeline';
import type * as ec2 from 'aws-cdk-lib/aws-ec2';
import type * as events from 'aws-cdk-lib/aws-events';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { EVENT } from './contract';
import {
  addCodeCommit,
  addReconciliation,
  createAcceptFunction,
  createWorkFunction,
  DEFAULT_WORK_TIMEOUT,
  type Parts,
} from './functions';
import {
  type GitPushPipelineAttributes,
  GitPushPipelineBase,
  type IGitPushPipeline,
} from './git-push-pipeline-base';
import { DEFAULT_KEY_TEMPLATE, isCommitKey, renderKey } from './object-key';
import type { GitPushPipelineProps, PushSourceOptions } from './props';
import { PushSourceAction } from './push-source-action';
import { isBranchOrTag, isWantedRef, type RefFilter } from './refs';
import {
  formatAddress,
  isListed,
  matchSegments,
  parseAddress,
  type RepositoryAddress,
  type RepositoryPattern,
} from './repository-address';
import { hasWildcard, validateProps } from './validate-props';
import {
  addBlockWidgets,
  type AlarmRule,
  createAlarms,
  deadLetterRule,
  frontRules,
  functionRules,
  oneIsTooMuch,
} from '../shared/alarms';
import { connectionsOf } from '../shared/handler-function';
import { createHttpApi, type HttpFront } from '../shared/http-api';
import type { AlarmOptions, IWatchable } from '../shared/monitoring';
import { createQueueWithDeadLetters } from '../shared/queue-with-dead-letters';
import { InvalidPropError } from '../shared/validate';
import { validateTypes } from '../shared/validate-types';

const DEFAULT_MAX_RECEIVE_COUNT = 2;
const KEPT_VERSIONS = 20;

/**
 * A push becomes a zip in S3: a git host's webhook in, the repository where its ref now stands out, ready for
 * CodePipeline or CodeBuild.
 *
 * An HTTP API with an accept function that checks the webhook's signature, a FIFO queue, and a work function
 * that asks where the ref stands, fetches that commit, and stores it unless it is stored already. Failures
 * are published as events and kept in a dead-letter queue.
 *
 * @example
 * import { App, Stack } from 'aws-cdk-lib';
 * import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
 * import { GitPushPipeline, WebhookSecret } from 'cdk-serverless-blocks';
 *
 * const stack = new Stack(new App(), 'Build');
 * const secret = new secretsmanager.Secret(stack, 'WebhookSecret');
 * new GitPushPipeline(stack, 'Pushes', {
 *   repositories: ['github.com/acme/*'],
 *   webhookSecret: WebhookSecret.fromSecret(secret),
 * });
 */
export class GitPushPipeline extends GitPushPipelineBase implements ec2.IConnectable, IWatchable {
  /**
   * A pipeline that another stack has made, in the same account and region.
   *
   * @param scope the scope
   * @param id the id
   * @param attributes what identifies it
   */
  public static fromGitPushPipelineAttributes(
    scope: Construct,
    id: string,
    attributes: GitPushPipelineAttributes,
  ): IGitPushPipeline {
    validateTypes(scope, 'GitPushPipeline.fromGitPushPipelineAttributes', { id, attributes });
    class Import extends GitPushPipelineBase {
      public readonly bucket = s3.Bucket.fromBucketArn(this, 'Bucket', attributes.bucketArn);
      /** @internal */
      protected readonly _queue = sqs.Queue.fromQueueArn(this, 'Queue', attributes.queueArn);
      public readonly deadLetterQueue = sqs.Queue.fromQueueArn(
        this,
        'DeadLetterQueue',
        attributes.deadLetterQueueArn,
      );
      /** @internal */
      protected readonly _worker = lambda.Function.fromFunctionAttributes(this, 'WorkHandler', {
        functionArn: attributes.workFunctionArn,
        sameEnvironment: true,
      });
      public readonly api =
        attributes.httpApiId === undefined
          ? undefined
          : apigwv2.HttpApi.fromHttpApiAttributes(this, 'Api', { httpApiId: attributes.httpApiId });
      protected readonly encryptionKey = attributes.encryptionKey;
      protected readonly eventBus = attributes.eventBus;
      protected readonly whyNoApi = 'give the attribute `httpApiId`';
    }
    return new Import(scope, id);
  }

  /** The bucket of the zips. */
  public readonly bucket: s3.IBucket;

  /** The FIFO queue of accepted pushes, one message per changed ref. */
  public readonly queue: sqs.Queue;

  /** The FIFO queue of pushes that could not be handled, each with its reason. */
  public readonly deadLetterQueue: sqs.IQueue;

  /** The HTTP API of the webhook. Undefined where there are only CodeCommit repositories. */
  public readonly api?: apigwv2.IHttpApi;

  /** The API's own domain, where `domain` was given: records can point at its `regionalDomainName`. */
  public readonly domain?: apigwv2.IDomainName;

  /** The function that checks webhooks and queues pushes. */
  public readonly acceptFunction: lambda.Function;

  /** The function that fetches, zips and stores. */
  public readonly workFunction: lambda.Function;

  /** All functions of the block. */
  public readonly functions: lambda.Function[];

  private readonly patterns: RepositoryPattern[];
  private readonly keyTemplate: string;
  private readonly filter: RefFilter;
  private readonly splitBy?: string;
  protected readonly encryptionKey?: kms.IKey;
  protected readonly eventBus?: events.IEventBus;
  protected readonly whyNoApi = '`repositories` is empty, and CodeCommit needs no webhook';
  private readonly front?: HttpFront;
  private readonly path: string;

  /**
   * @param scope the construct it belongs to, often a stack
   * @param id its name there, a part of every logical id: changing it makes new resources
   * @param props its settings
   */
  public constructor(scope: Construct, id: string, props: GitPushPipelineProps) {
    super(scope, id);
    validateTypes(this, 'GitPushPipelineProps', props);
    this.keyTemplate = props.keyTemplate ?? DEFAULT_KEY_TEMPLATE;
    this.patterns = validateProps(this, props, this.keyTemplate);
    this.filter = { branches: props.branches, tags: props.tags };
    this.splitBy = props.splitBy;
    this.encryptionKey = props.encryptionKey;
    this.eventBus = props.eventBus;
    const maxReceiveCount = props.maxReceiveCount ?? DEFAULT_MAX_RECEIVE_COUNT;

    this.bucket =
      props.bucket ??
      new s3.Bucket(this, 'Bucket', {
        versioned: true,
        encryption: props.encryptionKey ? s3.BucketEncryption.KMS : s3.BucketEncryption.S3_MANAGED,
        encryptionKey: props.encryptionKey,
        bucketKeyEnabled: props.encryptionKey ? true : undefined,
        serverAccessLogsBucket: props.serverAccessLogsBucket,
        blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
        objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        enforceSSL: true,
        removalPolicy: props.removalPolicy,
        // A pipeline run that is retried reads the same version that it began with.
        lifecycleRules: [
          { noncurrentVersionExpiration: Duration.days(30), noncurrentVersionsToRetain: KEPT_VERSIONS },
        ],
      });
    const queues = createQueueWithDeadLetters(this, {
      fifo: true,
      // One more than the tries: on that receive the work function itself reports the failure. The queue is
      // the fallback.
      maxReceiveCount: maxReceiveCount + 1,
      handlerTimeout: props.workTimeout ?? DEFAULT_WORK_TIMEOUT,
      deadLetterQueue: props.deadLetterQueue,
      encryptionKey: props.encryptionKey,
    });
    this.queue = queues.queue;
    this.deadLetterQueue = queues.deadLetterQueue;

    const parts: Parts = {
      scope: this,
      props,
      keyTemplate: this.keyTemplate,
      patterns: this.patterns,
      bucket: this.bucket,
      queue: this.queue,
      deadLetterQueue: this.deadLetterQueue,
      maxReceiveCount,
    };
    this.acceptFunction = createAcceptFunction(parts);
    this.workFunction = createWorkFunction(parts);
    this.functions = [this.acceptFunction, this.workFunction];
    addCodeCommit(parts, this.acceptFunction, this.workFunction);
    addReconciliation(parts, this.acceptFunction, this.workFunction);
    this.path = props.path ?? '/';
    if (props.repositories.length > 0) {
      this.front = createHttpApi(
        this,
        'Api',
        [{ method: apigwv2.HttpMethod.POST, path: this.path, target: this.acceptFunction }],
        props,
      );
      this.api = this.front.api;
      this.domain = this.front.domain;
    }
  }

  /**
   * The address to give to the git host: `https://…/`. Throws where `repositories` is empty, since CodeCommit
   * needs none.
   */
  public get url(): string {
    if (!this.front) throw this._webhookMissing('url');
    return this.front.url + this.path;
  }

  /**
   * The address to give to the git host.
   *
   * @deprecated use `url`, which every block has
   */
  public get webhookUrl(): string {
    return this.url;
  }

  /**
   * The network connections of the functions. Throws where the block has no `vpc`.
   */
  public get connections(): ec2.Connections {
    return connectionsOf(this, this.functions);
  }

  /**
   * A source action for CodePipeline. The published event starts the pipeline: nothing polls, and CloudTrail
   * is not needed.
   *
   * @param output the artifact that the action makes of the zip
   * @param ref a branch's name such as `main`, or a ref in full such as `refs/tags/v1`
   * @param options which repository, where `repositories` names more than one
   */
  public sourceAction(
    output: codepipeline.Artifact,
    ref: string,
    options: PushSourceOptions = {},
  ): codepipeline.IAction {
    if (isCommitKey(this.keyTemplate)) {
      throw new InvalidPropError(
        this,
        `\`sourceAction\` needs a key that does not change with each commit, and \`keyTemplate\` is "${this.keyTemplate}"`,
      );
    }
    const address = this.addressOf(options.repository);
    const fullRef = ref.startsWith('refs/') ? ref : `refs/heads/${ref}`;
    const { directory } = options;
    this.checkSourceDirectory(directory);
    this.checkSourceRef(fullRef);
    const bucketKey = renderKey(
      this.keyTemplate,
      { address, ref: fullRef, commit: '', directory },
      this.patterns,
    );
    return new PushSourceAction({
      actionName: options.actionName ?? 'Source',
      bucket: this.bucket,
      bucketKey,
      output,
      role: options.role,
      variablesNamespace: options.variablesNamespace,
      eventBus: this.eventBus,
      eventPattern: { ...this._eventPattern(EVENT.published), detail: { key: [bucketKey] } },
    });
  }

  /**
   * Makes this block's alarms, which its page lists. Nothing is watched unless this is called.
   *
   * @param options who is notified, and what is overridden
   */
  public addAlarms(options?: AlarmOptions): cloudwatch.Alarm[] {
    return createAlarms(this, this.alarmRules(), options);
  }

  /**
   * Puts this block's graphs on a dashboard.
   *
   * @param dashboard any dashboard; `BlocksDashboard` makes one over many blocks
   */
  public addWidgets(dashboard: cloudwatch.Dashboard): void {
    addBlockWidgets(this, dashboard, {
      front: this.front,
      functions: this.functions,
      own: {
        Pushes: [
          this.metricPushesPublished({ label: 'published' }),
          this.metricPushesSuperseded({ label: 'superseded' }),
          this.metricPushesUnchanged({ label: 'unchanged' }),
          this.metricPushesFailed({ label: 'failed' }),
        ],
        'Oldest push in the queue, seconds': [this.metricQueueAge()],
        'Dead letters': [this.metricDeadLetters()],
      },
    });
  }

  /** @internal */
  protected get _queue(): sqs.IQueue {
    return this.queue;
  }

  /** @internal */
  protected get _worker(): lambda.IFunction {
    return this.workFunction;
  }

  private alarmRules(): AlarmRule[] {
    return [
      oneIsTooMuch(
        'PushesFailed',
        this.metricPushesFailed(),
        'A push could not be published.',
        'A push gave no zip',
      ),
      deadLetterRule(this.metricDeadLetters(), 'Look at what failed'),
      {
        id: 'QueueAge',
        metric: this.metricQueueAge(),
        threshold: 2 * (this.workFunction.timeout ?? DEFAULT_WORK_TIMEOUT).toSeconds(),
        datapoints: [1, 1],
        why: 'A push has been waiting for more than twice as long as the work on one may take.',
        runbook: 'Pushes wait',
      },
      ...frontRules(this.front),
      ...functionRules(this.functions),
    ];
  }

  private addressOf(repository: string | undefined): RepositoryAddress {
    if (repository !== undefined) {
      const address = parseAddress(repository);
      if (!isListed(address, this.patterns)) {
        throw new InvalidPropError(
          this,
          `\`repository\` ${formatAddress(address)} is not among \`repositories\``,
        );
      }
      return address;
    }
    const [only, ...others] = this.patterns;
    if (only === undefined || others.length > 0 || hasWildcard(only)) {
      throw new InvalidPropError(
        this,
        '`sourceAction` needs `repository`: `repositories` does not name exactly one repository',
      );
    }
    return {
      scheme: only.scheme ?? 'https',
      host: only.host,
      port: only.port,
      path: only.segments.join('/'),
    };
  }

  private checkSourceDirectory(directory: string | undefined): void {
    const fail = (message: string): never => {
      throw new InvalidPropError(this, message);
    };
    if (this.splitBy === undefined) {
      if (directory !== undefined) {
        fail('`directory` of `sourceAction` needs `splitBy`: the zip holds the whole repository');
      }
    } else if (directory === undefined) {
      fail('`sourceAction` needs `directory`, because `splitBy` gives each directory a zip of its own');
    } else if (!matchSegments(directory.split('/'), this.splitBy.split('/'))) {
      fail(
        `\`directory\` "${directory}" of \`sourceAction\` is not one that \`splitBy\` "${this.splitBy}" selects`,
      );
    }
  }

  /** A pipeline whose source never comes would stand still without any sign. */
  private checkSourceRef(ref: string): void {
    if (isBranchOrTag(ref) && isWantedRef(ref, this.filter)) return;
    const prop = ref.startsWith('refs/tags/') ? 'tags' : 'branches';
    throw new InvalidPropError(
      this,
      `\`sourceAction\` names ${ref}, of which no push is taken: \`${prop}\` must have a pattern that matches it`,
    );
  }
}
