import type { SQSRecord } from 'aws-lambda';
import type { StoredFacts } from './metadata';
import type { FailedDetail, PublishedDetail, QueueMessage } from '../../../src/git-push-pipeline/contract';
import type { RepositoryAddress } from '../../../src/git-push-pipeline/repository-address';

/** What the functions need from outside; adapters/ and git/ implement it. */

/** A ref of a repository. */
export interface Source {
  readonly address: RepositoryAddress;
  /** In full. */
  readonly ref: string;
}

/** Where a ref stands. */
export interface Tip {
  /** What the ref holds: a commit, or the tag object of an annotated tag. */
  readonly id: string;
  /** The commit that it points to. */
  readonly commit: string;
}

export interface GitProtocol {
  /** Of the git protocol: 2, or 0 where the host has nothing newer. */
  readonly version: 0 | 2;
  /** Whether it can leave the files of a commit out. */
  readonly filters: boolean;
}

/** What part of a commit one zip holds: all of it, or one directory. */
export interface Part {
  /** The directory's path; undefined for the whole commit. */
  readonly directory?: string;
  /** The id of the directory's tree; undefined for the whole commit. */
  readonly tree?: string;
}

export interface CommitZip {
  readonly file: string;
  readonly bytes: number;
  readonly entries: number;
  readonly part: Part;
  /** The commit's own id, where a tag was pushed. */
  readonly commitId: string;
  /** Seconds since 1970. */
  readonly commitTime: number;
  /** The commit's message. */
  readonly message: string;
  /** Of the wanted contents of the commit. */
  readonly fingerprint: string;
  readonly lfsPointers: number;
  readonly skippedExtraFiles: readonly string[];
}

/** The git host, for the duration of one message. */
export interface Git {
  /** Where the ref stands, or undefined where it is gone. */
  tip(source: Source): Promise<Tip | undefined>;
  /** Which protocol the host speaks, for whoever sets it up. */
  protocol(address: RepositoryAddress): Promise<GitProtocol>;
  /** All branches and tags of a repository with where they stand. */
  refs(address: RepositoryAddress): Promise<readonly { readonly ref: string; readonly tip: Tip }[]>;
  /** What the wanted paths hold at each commit, without fetching any file. */
  fingerprints(source: Source, ids: readonly string[]): Promise<readonly string[]>;
  /** The directories of each commit that get a zip of their own, without fetching any file. */
  directories(source: Source, ids: readonly string[]): Promise<readonly (readonly Required<Part>[])[]>;
  /** The zips of a commit's parts, one after the other: each file is gone when the next is asked for. */
  zips(source: Source, id: string, parts: readonly Part[]): AsyncIterable<CommitZip>;
  close(): void;
}

/** An object that exists. */
export interface StoredZip {
  readonly etag: string;
  readonly versionId?: string;
  readonly sha256: string;
  readonly bytes: number;
  /** Undefined where the object does not say. */
  readonly facts?: StoredFacts;
}

/** Another write came in between: what the decision was based on no longer holds. */
export class ConditionFailed extends Error {}

export interface ZipStore {
  readonly bucket: string;
  /** `hidden` where S3 does not say whether there is one, as it does not for those who may not list. */
  head(key: string, signal: AbortSignal): Promise<StoredZip | 'none' | 'hidden'>;
  /**
   * @param replaces the ETag of the object that this one replaces; undefined where there must be none
   * @throws ConditionFailed where that is not the case
   */
  put(
    file: string,
    key: string,
    options: {
      readonly metadata: Record<string, string>;
      readonly replaces?: string;
      readonly signal: AbortSignal;
    },
  ): Promise<{ readonly versionId?: string; readonly sha256: string }>;
}

export interface PushEvents {
  published(detail: PublishedDetail, queueArn: string): Promise<void>;
  failed(detail: FailedDetail, queueArn: string): Promise<void>;
}

/** Where accepted pushes wait for the work function. */
export interface PushQueue {
  send(messages: readonly QueueMessage[]): Promise<void>;
}

/** Where a push goes that cannot be handled. */
export interface DeadLetters {
  send(record: SQSRecord, code: string, reason: string): Promise<void>;
}

/** The queue's own say in when a push is tried again. */
export interface Retries {
  postpone(record: SQSRecord, seconds: number): Promise<void>;
}
