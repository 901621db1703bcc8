/** The hosts whose webhooks are understood. */
export type PushProvider =
  | 'github' | 'gitlab' | 'gitea' | 'bitbucket-cloud' | 'bitbucket-data-center' | 'azure-devops' | 'codecommit' | 'generic';

/**
 * One change of one ref, as it lies in the queue. Whoever may send to the queue can send this.
 * It holds nothing secret; the work function checks all of it again.
 */
export interface PushMessage {
  readonly version: 1;
  readonly provider: PushProvider;
  /** The clone address: `https://host/path`, `ssh://user@host/path` or `user@host:path`, without credentials. */
  readonly repository: string;
  /** In full: `refs/heads/main` or `refs/tags/v1`. */
  readonly ref: string;
  /** The id that the ref had before, 40 zeros where it is new. */
  readonly before: string;
  /** The id to fetch: a commit, or the tag object of an annotated tag. */
  readonly after: string;
  /** What the host calls this delivery. The same when it is delivered again. */
  readonly deliveryId: string;
  /** When the push was accepted, ISO 8601 in UTC. */
  readonly receivedAt: string;
  /** Who pushed, as the host says. */
  readonly pusher?: string;
}

/** Where a message goes in a FIFO queue. */
export interface PushMessageRouting {
  /** The same for all changes of one ref of one repository, so that they are done in order. */
  readonly messageGroupId: string;
  /** The same for one change however often it is delivered within five minutes. */
  readonly messageDeduplicationId: string;
}

/** Why a change of a ref, or a whole delivery, led to no message. */
export type SkipReason =
  | 'ping' | 'event-not-wanted' | 'deleted' | 'unchanged' | 'ref-not-wanted' | 'paths-not-touched' | 'repository-not-allowed';

/** The file that says which commit a zip holds, as the only text in it. */
export const COMMIT_ID_FILE = 'commit-id';

/** The file with the facts of the commit as JSON. */
export const BUILD_INFO_FILE = 'build-info.json';

/** What `build-info.json` holds: facts of the commit only, so that the zip stays the same byte for byte. */
export interface BuildInfo {
  readonly repository: string;
  readonly ref: string;
  readonly commit: string;
  readonly author: { readonly name: string; readonly email: string };
  readonly authorTime: string;
  readonly commitTime: string;
}
