/** What the construct and the handlers agree on. Nothing is imported here: both sides import this file. */

/**
 * The work function's NODE_OPTIONS. Objects of a pack are garbage soon, but live outside the heap; with the
 * large young generation that V8 grows into, it collects them too seldom, and memory grows with the
 * repository.
 */
export const WORK_NODE_OPTIONS = '--max-semi-space-size=4';

/** Names of the environment variables that the construct sets and the handlers read. None holds a secret. */
export const ENV = {
  /** JSON: a list of patterns such as `github.com/acme/*`. */
  repositories: 'REPOSITORIES',
  queueUrl: 'QUEUE_URL',
  /** Set only where a `webhookSecret` was given: the secret's ARN, never its value. */
  webhookSecretArn: 'WEBHOOK_SECRET_ARN',
  /** `true` where an authorizer stands before the accept function. */
  hasAuthorizer: 'HAS_AUTHORIZER',
  /** JSON: lists of patterns. */
  branches: 'BRANCHES',
  tags: 'TAGS',
  paths: 'PATHS',
  splitBy: 'SPLIT_BY',
  windowsSafeNames: 'WINDOWS_SAFE_NAMES',
  /** JSON: patterns of the repositories that are cloned by SSH, as `CredentialReference` has them. */
  sshPatterns: 'SSH_PATTERNS',
  /** JSON: a list of `CredentialReference`. */
  credentials: 'CREDENTIALS',
  allowPrivateHosts: 'ALLOW_PRIVATE_HOSTS',
  /** PEM, public. */
  certificateAuthority: 'CERTIFICATE_AUTHORITY',
  proxyUrl: 'PROXY_URL',
  bucketName: 'BUCKET_NAME',
  keyTemplate: 'KEY_TEMPLATE',
  addCommitFiles: 'ADD_COMMIT_FILES',
  fetchSubmodules: 'FETCH_SUBMODULES',
  deadLetterQueueUrl: 'DEAD_LETTER_QUEUE_URL',
  maxReceiveCount: 'MAX_RECEIVE_COUNT',
  ephemeralStorageMib: 'EPHEMERAL_STORAGE_MIB',
  eventBusName: 'EVENT_BUS_NAME',
  /** Set only where CodeCommit is used: the partition's domain. */
  codeCommitUrlSuffix: 'CODECOMMIT_URL_SUFFIX',
} as const;

/** The export of both bundles. */
export const EXPORT = 'handler';

/** Where the value that gives access to repositories is kept: never the value itself. */
export type CredentialReference = {
  /** Which repositories: a pattern such as `github.com/acme/*`, or a host with its port for all of it. */
  readonly pattern: string;
  readonly secretArn: string;
} & (
  | { readonly kind: 'https' }
  | { readonly kind: 'ssh'; readonly knownHosts: string }
  | {
      readonly kind: 'githubApp';
      readonly appId: string;
      /** Of GitHub's API: `https://api.github.com`, or `https://host/api/v3`. */
      readonly apiUrl: string;
    }
);

/** Metrics are written by the functions, under the dimension `FunctionName`. */
export const METRIC_NAMESPACE = 'CdkServerlessBlocks/GitPushPipeline';
export const METRIC = {
  /** Accept: ref changes that were put into the queue. */
  pushesAccepted: 'PushesAccepted',
  /** Accept: changes and deliveries of which nothing was wanted. */
  pushesSkipped: 'PushesSkipped',
  /** Accept: requests that were refused with a 4xx. */
  webhooksRefused: 'WebhooksRefused',
  pushesPublished: 'PushesPublished',
  pushesFailed: 'PushesFailed',
  /** Work: the ref had moved on, or was gone, when the push's turn came, so that it got no zip of its own. */
  pushesSuperseded: 'PushesSuperseded',
  /** Work: what is wanted of the ref was stored already. */
  pushesUnchanged: 'PushesUnchanged',
  /** Work: refs that `reconcile` found not stored: their webhooks were lost, or never sent. */
  refsReconciled: 'RefsReconciled',
  /** Work: directories of `splitBy` that a push removed; their zips stay. */
  directoriesGone: 'DirectoriesGone',
} as const;

/** The source of the events that the work function puts on the bus. */
export const EVENT_SOURCE = 'cdk-serverless-blocks.git-push-pipeline';
export const EVENT = { published: 'Git Push Published', failed: 'Git Push Failed' } as const;

/**
 * The detail of a `Git Push Published` event. Its `resources` hold the ARN of the queue that the push came
 * through.
 */
export interface PublishedDetail {
  readonly repository: string;
  readonly ref: string;
  /** The commit in the zip. */
  readonly commit: string;
  /** ISO 8601 in UTC. */
  readonly commitTime: string;
  readonly bucket: string;
  readonly key: string;
  /** Of the object; absent where the bucket keeps no versions. */
  readonly versionId?: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly deliveryId: string;
  readonly pusher?: string;
  /** The directory that the zip holds, where `splitBy` makes one of each. */
  readonly directory?: string;
  /** How many files of the zip are pointers of Git LFS and not their content; absent where there are none. */
  readonly lfsPointers?: number;
}

/**
 * The detail of a `Git Push Failed` event. Its `resources` hold the ARN of the queue that the push came
 * through.
 */
export interface FailedDetail {
  /** Of these, whatever could be read from the message. */
  readonly repository?: string;
  readonly ref?: string;
  readonly commit?: string;
  readonly deliveryId?: string;
  /** For programs, for instance `AUTH` or `LIMIT`. */
  readonly code: string;
  /** For people. Holds nothing secret. */
  readonly reason: string;
  /** How often the work was started. */
  readonly attempts: number;
}

/**
 * Message attributes of what is in the dead-letter queue; the body is the message itself, so that it can be
 * sent again.
 */
export const DEAD_LETTER_ATTRIBUTE = { code: 'code', reason: 'reason' } as const;

/** The hosts whose webhooks are understood. Forgejo and Gogs are read as Gitea. */
export type PushProvider =
  | 'github'
  | 'gitlab'
  | 'gitea'
  | 'bitbucket-cloud'
  | 'bitbucket-data-center'
  | 'azure-devops'
  | 'codecommit'
  | 'generic';

/**
 * A ref that moved, as the queue holds it. Whoever may send to the queue can send this.
 * It holds nothing secret; the work function checks all of it again, and asks the host where the ref stands.
 */
export interface PushMessage {
  readonly version: 2;
  readonly kind: 'ref';
  /**
   * The clone address: `https://host/path`, `ssh://user@host/path` or `user@host:path`, without credentials.
   */
  readonly repository: string;
  /** In full: `refs/heads/main` or `refs/tags/v1`. */
  readonly ref: string;
  /** What the host said about the push. It decides only where each commit has a key of its own. */
  readonly hint?: PushHint;
  /** What the host calls this delivery. The same when it is delivered again. */
  readonly deliveryId: string;
  /** When the push was accepted, ISO 8601 in UTC. */
  readonly receivedAt: string;
  /** Who pushed, as the host says. */
  readonly pusher?: string;
}

export interface PushHint {
  /** The id that the ref had before, 40 zeros where it was new. */
  readonly before: string;
  /** The id that it got: a commit, or the tag object of an annotated tag. */
  readonly after: string;
}

/** A request to compare every ref of a repository with what is stored, in case a webhook was lost. */
export interface ReconcileMessage {
  readonly version: 2;
  readonly kind: 'reconcile';
  readonly repository: string;
  readonly deliveryId: string;
  readonly receivedAt: string;
}

export type QueueMessage = PushMessage | ReconcileMessage;

/** Where a message goes in a FIFO queue. */
export interface PushMessageRouting {
  /** The same for all changes of one ref of one repository, so that they are done in order. */
  readonly messageGroupId: string;
  /** The same for one change, however often it is delivered within five minutes. */
  readonly messageDeduplicationId: string;
}

/** Why a change of a ref, or a whole delivery, led to no message. */
export type SkipReason =
  | 'ping'
  | 'event-not-wanted'
  | 'deleted'
  | 'unchanged'
  | 'ref-not-wanted'
  | 'repository-not-allowed';

/** The file that says which commit a zip holds, as the only text in it. */
export const COMMIT_ID_FILE = 'commit-id';

/** The file with the facts of the commit as JSON. */
export const BUILD_INFO_FILE = 'build-info.json';

/**
 * What `build-info.json` holds: what the commit says and nothing else, so that the zip is the same byte for
 * byte whichever ref it came by.
 */
export interface BuildInfo {
  readonly commit: string;
  readonly tree: string;
  readonly author: { readonly name: string; readonly email: string };
  readonly authorTime: string;
  readonly commitTime: string;
}
