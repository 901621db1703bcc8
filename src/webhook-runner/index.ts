export * from './destination';
export * from './failed-records';
export * from './record-mapping';
export * from './status-protocol';
export * from './props';
export type { S3Source } from './s3-source';
export * from './webhook-runner';
export type { IWebhookRunner, WebhookRunnerAttributes } from './webhook-runner-base';
