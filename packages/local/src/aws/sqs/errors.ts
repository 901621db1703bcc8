/** The errors of SQS. SDKs go by the second name, that of the older query protocol, where they differ. */
import { ServiceError } from '../aws-json';

export class SqsError extends ServiceError {
  /** @param queryCode as in the header `x-amzn-query-error` */
  public constructor(
    code: string,
    public readonly queryCode: string,
    message: string,
  ) {
    super(code, message);
  }
}

const plain = (code: string, message: string) =>
  new SqsError(code, `AWS.SimpleQueueService.${code}`, message);

export const invalidValue = (message: string) =>
  new SqsError('InvalidParameterValue', 'InvalidParameterValue', message);
export const missingParameter = (name: string) =>
  new SqsError('MissingParameter', 'MissingParameter', `The request must contain the parameter ${name}.`);
export const noSuchQueue = () =>
  new SqsError(
    'QueueDoesNotExist',
    'AWS.SimpleQueueService.NonExistentQueue',
    'The specified queue does not exist.',
  );
export const invalidHandle = () =>
  new SqsError('ReceiptHandleIsInvalid', 'ReceiptHandleIsInvalid', 'The input receipt handle is invalid.');
export const notInFlight = () =>
  new SqsError(
    'MessageNotInflight',
    'AWS.SimpleQueueService.MessageNotInflight',
    'Value for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.',
  );
export const invalidContents = () =>
  new SqsError(
    'InvalidMessageContents',
    'InvalidMessageContents',
    'The message contains characters outside the allowed set.',
  );
export const queueExists = () =>
  new SqsError(
    'QueueNameExists',
    'QueueAlreadyExists',
    'A queue already exists with the same name and a different value for an attribute',
  );
export const emptyBatch = () =>
  plain('EmptyBatchRequest', 'There should be at least one SendMessageBatchRequestEntry in the request.');
export const tooManyEntries = (count: number) =>
  plain(
    'TooManyEntriesInBatchRequest',
    `Maximum number of entries per request are 10. You have sent ${count}.`,
  );
export const idsNotDistinct = () =>
  plain('BatchEntryIdsNotDistinct', 'Two or more batch entries in the request have the same Id.');
export const batchTooLong = (bytes: number) =>
  plain(
    'BatchRequestTooLong',
    `Batch requests cannot be longer than 1048576 bytes. You have sent ${bytes} bytes.`,
  );
export const invalidEntryId = () =>
  plain(
    'InvalidBatchEntryId',
    'A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.',
  );
