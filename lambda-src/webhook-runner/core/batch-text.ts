import type { DeliveredBatch, Delivery } from './ports';
import { isTransient } from '../../shared/transient';

/** The records as the elements of a JSON array, or why there is none. */
export function recordsText({ parts, contentType }: DeliveredBatch): string | undefined {
  return contentType === undefined ? Buffer.concat(parts).toString('utf8') : undefined;
}

export const NO_OWN_BODY = 'the mapping made a body of its own, which only an http destination takes';

interface AwsError {
  readonly name?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/** What a failed call to AWS says about the batch: only what remains in the end is the batch's own fault. */
export function failedCall(what: string, error: unknown): Delivery {
  const { name = 'Error', message = '', $metadata } = error as AwsError;
  const reason = `${what}: ${name}`;
  const status = $metadata?.httpStatusCode;
  if (isTransient(error)) {
    return { kind: 'unavailable', reason };
  }
  if (status === 413 || /too long|too large|shorter than|over the limit|exceeds/i.test(message)) {
    return { kind: 'too-large', reason };
  }
  // Errors of the permission, the key or the resource itself, which the next batch would meet as well.
  if (
    status === 401 ||
    status === 403 ||
    status === 404 ||
    /AccessDenied|NotFound|DoesNotExist|NonExistent|^KMS/.test(name)
  ) {
    return { kind: 'unauthorized', reason };
  }
  return { kind: 'refused', reason };
}
