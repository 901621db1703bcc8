import type { Readable } from 'node:stream';
import { DEFAULT_STALL_TIMEOUT_MS } from './connect';
import { GitError } from './errors';
import type { PktReader } from './pkt-line';

/** How the git protocol's bytes travel: over HTTPS request by request, over SSH in one exchange. */
export interface Transport {
  /** Each request is a new HTTP request: nothing is remembered between two. */
  readonly stateless: boolean;
  /** Starts git-upload-pack on the host and returns what it says first. */
  open(): Promise<PktReader>;
  send(request: string): Promise<PktReader>;
  close(): void;
}

export type GitCredentials =
  | {
      readonly kind: 'ssh';
      /** In OpenSSH, PEM or PPK form. */
      readonly privateKey: string;
      readonly passphrase?: string;
      /** Lines as in a known_hosts file. The host's key must be among them. */
      readonly knownHosts: string;
    }
  | { readonly kind: 'https'; readonly username?: string; readonly password: string };

/**
 * The stream's bytes for as long as they keep coming. Ends with an error, and destroys the stream, when none
 * came for too long or the signal fired. It does not rely on the stream for that: an SSH channel is only
 * closed when the host agrees.
 */
export async function* flowing(
  stream: Readable,
  signal: AbortSignal,
  stallTimeoutMs = DEFAULT_STALL_TIMEOUT_MS,
): AsyncGenerator<Buffer> {
  const iterator = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let rejectWaiting: (reason: unknown) => void = () => undefined;
  let stopped: { reason: unknown } | undefined;
  const stop = (reason: unknown): void => {
    stopped = { reason };
    rejectWaiting(reason);
  };
  const aborted = (): void => stop(signal.reason);
  const timer = setTimeout(
    () => stop(new GitError('STALLED', `the host sent nothing for ${stallTimeoutMs / 1000} s`)),
    stallTimeoutMs,
  );
  timer.unref(); // a reader that stops early leaves it behind, and a process that is done must not wait for it
  if (signal.aborted) aborted();
  signal.addEventListener('abort', aborted, { once: true });
  try {
    for (;;) {
      const step = await new Promise<IteratorResult<Buffer>>((resolve, reject) => {
        rejectWaiting = reject;
        if (stopped !== undefined) reject(stopped.reason);
        else iterator.next().then(resolve, reject);
      });
      if (step.done) return;
      timer.refresh();
      yield step.value;
      timer.refresh();
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', aborted);
    if (!stream.readableEnded) stream.destroy();
  }
}
