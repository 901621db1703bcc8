import type { Duration, RemovalPolicy, Size } from 'aws-cdk-lib';
import type * as codecommit from 'aws-cdk-lib/aws-codecommit';
import type * as events from 'aws-cdk-lib/aws-events';
import type * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as s3 from 'aws-cdk-lib/aws-s3';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import type { GitCredentials, WebhookSecret } from './secrets';
import type { ApiOptions } from '../shared/api-options';
import type { HandlerProps } from '../shared/handler-props';

/**
 * Properties of a `GitPushPipeline`. Of `HandlerProps`, `memorySize` and `timeout` are the accept function's;
 * the work function has `workMemorySize` and `workTimeout`.
 */
export interface GitPushPipelineProps extends HandlerProps, ApiOptions {
  /**
   * The repositories whose pushes are taken, and the only places that the work function ever connects to:
   * `github.com/acme/*`.
   *
   * The host is exact, with its port where that is not the usual one. In the path `*` stands for any characters of one directory,
   * `**` for any number of directories. `https://…`, `ssh://git@…` and `git@host:…` allow only that way,
   * `host/path` allows both. May be empty where `codeCommitRepositories` are given: then there is no API.
   */
  readonly repositories: string[];

  /**
   * What proves that a webhook comes from the git host.
   *
   * @default - none: then `authorizer` is required
   */
  readonly webhookSecret?: WebhookSecret;

  /**
   * What gives access to the repositories, by host or by pattern as in `repositories`: `{ 'github.com': …,
   * 'github.com/acme/app': … }`. The most specific pattern that matches counts, which is how deploy keys,
   * each for one repository, are given. A host with a port of its own is named with it. Repositories with an
   * SSH key are cloned by SSH, the others by HTTPS.
   *
   * @default - repositories that anybody may read by HTTPS
   */
  readonly credentials?: Record<string, GitCredentials>;

  /**
   * CodeCommit repositories of this region whose pushes are taken over EventBridge. Adds `codecommit:GitPull`
   * on them to the work function's role.
   *
   * @default - none
   */
  readonly codeCommitRepositories?: codecommit.IRepository[];

  /**
   * Which branches are wanted: patterns such as `main` or `release/*`, with wildcards as in `repositories`.
   *
   * @default - all
   */
  readonly branches?: string[];

  /**
   * Which tags are wanted: patterns such as `v*`. An empty list wants none.
   *
   * @default - all
   */
  readonly tags?: string[];

  /**
   * Patterns of files such as `src/**`: a ref gets a new zip only where the contents of these files differ
   * from those of the stored zip. The work function asks git for that, by names, modes and contents,
   * whatever the webhook lists. The zip always holds all files.
   *
   * @default - any change is one
   */
  readonly paths?: string[];

  /**
   * A pattern of directories such as `services/*`: each gets a zip, a key and an event of its own, and only
   * those that changed are fetched. `keyTemplate` must have `{dir}`, the directory's path, and no `{commit}`.
   * At most 200 directories; the zip of one that is removed from the repository stays. Cannot be combined
   * with `paths` or `fetchSubmodules`.
   *
   * @default - one zip holds the whole repository
   */
  readonly splitBy?: string;

  /**
   * How often the refs of the `repositories` that are named without a wildcard, and of
   * `codeCommitRepositories`, are compared with what is stored, so that a webhook that was lost or never sent
   * does no harm for longer than that. Adds `sqs:SendMessage` on the queue to the work function's role.
   *
   * @default - never
   */
  readonly reconcile?: events.Schedule;

  /**
   * The path of the webhook.
   *
   * @default '/'
   */
  readonly path?: string;

  /**
   * An existing bucket for the zips. It should keep versions; CodePipeline demands that.
   * Cannot be combined with `removalPolicy`, which describes a new one.
   *
   * @default - a new one: versioned, encrypted, TLS only, not public; versions that were replaced expire
   * after 30 days, except for the newest 20 of each
   */
  readonly bucket?: s3.IBucket;

  /**
   * A bucket for the server access logs of the new bucket. Cannot be combined with `bucket`.
   *
   * @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerLogs.html
   * @default - reads and writes are not logged
   */
  readonly serverAccessLogsBucket?: s3.IBucket;

  /**
   * The key of a push's zip. `{host}`, `{path}`, `{ref}` (`heads/main`, `tags/v1`) `{dir}` (with `splitBy`)
   * and `{commit}` are filled in. With `{commit}` an object is written once and never again.
   *
   * @default '{host}/{path}/{ref}.zip'
   */
  readonly keyTemplate?: string;

  /**
   * The KMS key of the new bucket and queues. With `bucket`: also the key that it is encrypted with.
   * Adds `kms:Decrypt` and `kms:GenerateDataKey` on that key to both functions' roles.
   *
   * @default - the keys that S3 and SQS manage
   */
  readonly encryptionKey?: kms.IKey;

  /**
   * What happens to the new bucket, and the zips in it, when the construct is removed from the stack.
   *
   * @default RemovalPolicy.RETAIN
   */
  readonly removalPolicy?: RemovalPolicy;

  /**
   * An existing FIFO queue for the pushes that could not be handled.
   *
   * @default - a new one, which keeps them for 14 days
   */
  readonly deadLetterQueue?: sqs.IQueue;

  /**
   * How many pushes are worked on at once, from 2 to 1,000; others wait in the queue. Not above
   * `reservedConcurrentExecutions`.
   *
   * @see https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html#events-sqs-max-concurrency
   * @default - `reservedConcurrentExecutions` where it is set, otherwise 10
   */
  readonly maxConcurrency?: number;

  /**
   * How often a push is tried, from 1 to 100. Failures that another try would not change are not retried.
   *
   * @default 2
   */
  readonly maxReceiveCount?: number;

  /**
   * The disk of the work function, from 512 MiB to 10 GiB. It holds the pack and the zip of one push at a
   * time; what does not fit ends in a failure that says so.
   *
   * @default - 2 GiB
   */
  readonly ephemeralStorageSize?: Size;

  /**
   * The memory of the work function, in MiB, from 512 to 10,240.
   *
   * @default 1769 - one full vCPU
   */
  readonly workMemorySize?: number;

  /**
   * How long the work on one push may take, from 10 seconds to 15 minutes.
   *
   * @default - 5 minutes
   */
  readonly workTimeout?: Duration;

  /**
   * The bus of the events `Git Push Published` and `Git Push Failed`.
   *
   * @default - the account's default bus
   */
  readonly eventBus?: events.IEventBus;

  /**
   * Whether `commit-id` and `build-info.json` are put into the zip. A file of that name in the repository is
   * kept instead.
   *
   * @default true
   */
  readonly addCommitFiles?: boolean;

  /**
   * Whether to refuse a repository that has names with a backslash or a colon, or with a dot or space at the
   * end, which Windows reads as other names. Names that would leave the folder they are unpacked in, or make
   * a `.git`, are always refused.
   *
   * @default false
   */
  readonly windowsSafeNames?: boolean;

  /**
   * Whether submodules are fetched. Their repositories must be among `repositories`. Otherwise their
   * directories are empty.
   *
   * @default false
   */
  readonly fetchSubmodules?: boolean;

  /**
   * Certificates in PEM form of the private authority that signed the git host's certificate, trusted
   * besides the public ones.
   *
   * @default - the public ones only
   */
  readonly certificateAuthority?: string;

  /**
   * A proxy that understands CONNECT: `http://host:port`. It resolves the names of git hosts itself, so that the check for private
   * addresses covers literal addresses only.
   *
   * @default - none
   */
  readonly proxyUrl?: string;

  /**
   * Lets a git host be at a private or loopback address, for one within the VPC. Link-local and metadata
   * addresses stay refused. Whoever controls the DNS of an allowed host can then lead the work function into
   * your network, with the host's credentials.
   *
   * @default false
   */
  readonly allowPrivateHosts?: boolean;
}

/**
 * Options of `GitPushPipeline.sourceAction`.
 */
export interface PushSourceOptions {
  /**
   * The clone address of the repository, for instance `https://github.com/acme/app`.
   *
   * @default - the only one in `repositories`, if it has no wildcard
   */
  readonly repository?: string;

  /**
   * The directory, where `splitBy` gives each a zip of its own.
   *
   * @default - the zip holds the whole repository
   */
  readonly directory?: string;

  /**
   * The name of the action.
   *
   * @default 'Source'
   */
  readonly actionName?: string;

  /**
   * The namespace of the action's variables (`VersionId`, `ETag`).
   *
   * @default - CodePipeline's
   */
  readonly variablesNamespace?: string;

  /**
   * The role that reads the zip.
   *
   * @default - a new one
   */
  readonly role?: iam.IRole;
}
