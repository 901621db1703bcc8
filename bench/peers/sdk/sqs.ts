import { SendMessageBatchCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';

export const SQS = {
  Client: SQSClient,
  commands: { SendMessage: SendMessageCommand, SendMessageBatch: SendMessageBatchCommand },
};
