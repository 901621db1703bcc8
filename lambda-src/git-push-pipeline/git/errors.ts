import { printable } from '../../shared/printable';

/** What went wrong with a fetch or a zip. `message` never holds a credential and is safe to log. */
export type GitErrorCode =
  | 'AUTH'
  | 'HOST_KEY'
  | 'KEY'
  | 'NOT_FOUND'
  | 'COMMIT_NOT_FOUND'
  | 'NOT_ALLOWED'
  | 'BLOCKED_ADDRESS'
  | 'REDIRECT'
  | 'CONNECT'
  | 'TLS'
  | 'PROXY'
  | 'TIMEOUT'
  | 'STALLED'
  | 'ABORTED'
  | 'REMOTE'
  | 'PROTOCOL'
  | 'UNSUPPORTED'
  | 'CORRUPT_PACK'
  | 'UNSAFE_NAME'
  | 'LIMIT'
  | 'DISK_FULL'
  | 'CONFIGURATION';

const RETRYABLE: ReadonlySet<GitErrorCode> = new Set([
  'CONNECT',
  'TIMEOUT',
  'STALLED',
  'ABORTED',
  'CORRUPT_PACK',
]);

export class GitError extends Error {
  public readonly retryable: boolean;

  public constructor(
    public readonly code: GitErrorCode,
    message: string,
    retryable?: boolean,
  ) {
    super(message);
    this.name = 'GitError';
    this.retryable = retryable ?? RETRYABLE.has(code);
  }
}

const MAX_TEXT = 300;

/** Text from outside made fit for one log line, with every known secret blanked. */
export function safeText(text: string, secrets: readonly string[] = []): string {
  return printable(text, MAX_TEXT, secrets);
}

export function errorCode(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
}

export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A failure of the file system under the temporary directory, in terms of what it means for the push. */
export function fileError(error: unknown): unknown {
  if (errorCode(error) !== 'ENOSPC') return error;
  return new GitError(
    'DISK_FULL',
    'the temporary directory is full: raise ephemeralStorageSize or lower the limits',
  );
}
