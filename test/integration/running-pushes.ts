import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { GetObjectCommand, ListObjectVersionsCommand, S3Client } from '@aws-sdk/client-s3';
import { ReceiveMessageCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import type { Stack } from 'aws-cdk-lib';
import { EventBridge } from 'cdk-localhost/event-bridge';
import { Sqs } from 'cdk-localhost/sqs';
import type { SystemOptions } from 'cdk-localhost/system';
import { type RunningStack, startStack } from 'cdk-localhost/testing/stack';
import { clientFor, eventually, TurnedClock } from 'cdk-localhost/testing/stand-ins';
import { listZip } from 'cdk-localhost/zip';
import { LocalGitHost } from '../../demo/hosts/git/git-host';
import type { HttpsGitOptions } from '../../demo/hosts/git/git-server';
import { addPushes, type GitHost } from '../../examples/git-push-pipeline/app';
import type { GitPushPipelineProps } from '../../src';

export const WORKER = 'Pushes-WorkHandler';
/** The work function's timeout and half a minute. */
export const VISIBILITY_SECONDS = 330;

interface Detail {
  readonly ref: string;
  readonly key: string;
  readonly commit: string;
  readonly versionId: string;
  readonly sha256: string;
  readonly code: string;
  readonly reason: string;
  readonly attempts: number;
}

/** The example's stack with its own git host, and what tests ask of both. */
export class Running {
  /**
   * @param told what the stack is told about the host, where that is not the truth
   * @param faults of the host over HTTPS
   * @param more props of the pipeline
   */
  public static async start(
    options: Partial<SystemOptions> = {},
    told: Partial<GitHost> = {},
    faults: HttpsGitOptions = {},
    more: (host: GitHost) => Partial<GitPushPipelineProps> = () => ({}),
  ): Promise<Running> {
    const host = await LocalGitHost.start(() => undefined, faults);
    const clock = new TurnedClock();
    try {
      const known = { ...host.settings, ...told };
      const stack = await startStack((scope: Stack) => void addPushes(scope, known, more(known)), {
        clock,
        ...options,
      });
      host.connect(stack.system);
      return new Running(host, stack, clock);
    } catch (error) {
      await host.stop();
      throw error;
    }
  }

  public readonly s3: S3Client;
  public readonly sqs: SQSClient;

  private constructor(
    public readonly host: LocalGitHost,
    public readonly stack: RunningStack,
    public readonly clock: TurnedClock,
  ) {
    this.s3 = new S3Client({ ...clientFor(stack, 's3'), forcePathStyle: true });
    this.sqs = new SQSClient(clientFor(stack, 'sqs'));
  }

  public get system() {
    return this.stack.system;
  }

  /**
   * The processes that run the work function of this system: other test files run theirs beside it, in
   * threads of one process.
   */
  public get workers(): number[] {
    const own = [`AWS_LAMBDA_FUNCTION_NAME=${WORKER}`, `AWS_ENDPOINT_URL_SQS=${this.system.endpoints.sqs}`];
    return readdirSync('/proc')
      .filter(name => /^\d+$/.test(name))
      .map(Number)
      .filter(pid => {
        try {
          const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
          return own.every(variable => environment.includes(variable));
        } catch {
          return false; // it ended while we looked
        }
      });
  }

  public async webhook(ref: string, after: string, deliveryId?: string, before?: string): Promise<number> {
    const change = { ref, after, ...(before && { before }) };
    const url = this.system.outputs.GitPushPipelineWebhookUrl;
    return (await this.host.sendWebhook(url, change, deliveryId)).status;
  }

  /** Puts a message into the queue in a group of its own, so that a second worker takes it meanwhile. */
  public async send(message: Record<string, unknown>): Promise<void> {
    const body = {
      version: 2,
      repository: `https://${this.host.settings.https}/demo.git`,
      deliveryId: randomUUID(),
      receivedAt: '2026-01-02T03:04:05Z',
      ...message,
    };
    await this.sqs.send(
      new SendMessageCommand({
        QueueUrl: this.system.outputs.GitPushPipelineQueue,
        MessageBody: JSON.stringify(body),
        MessageGroupId: randomUUID(),
        MessageDeduplicationId: randomUUID(),
      }),
    );
  }

  public events(ref: string): { type: string; detail: Detail }[] {
    return this.system
      .service(EventBridge)
      .events.map(({ event }) => ({ type: event['detail-type'], detail: event.detail as Detail }))
      .filter(({ detail }) => detail.ref === ref);
  }

  /** What became of the pushes to a ref, once there are that many outcomes. */
  public async outcomes(ref: string, count = 1): Promise<{ type: string; detail: Detail }[]> {
    await eventually(() => this.events(ref).length >= count);
    return this.events(ref);
  }

  public async logged(pattern: RegExp, count = 1): Promise<void> {
    await eventually(() => this.stack.logs.filter(line => pattern.test(line)).length >= count);
  }

  /** Settles once the next message goes back into the queue; to be called before it can. */
  public goesBack(): Promise<void> {
    const pattern = new RegExp(`${WORKER} \\| 1 of 1 messages go back`);
    return this.logged(pattern, this.stack.logs.filter(line => pattern.test(line)).length + 1);
  }

  public async zip(key: string): Promise<string[]> {
    const { Body } = await this.s3.send(
      new GetObjectCommand({ Bucket: this.system.outputs.GitPushPipelineBucket, Key: key }),
    );
    return listZip(Buffer.from(await Body!.transformToByteArray())).map(({ name }) => name);
  }

  public async versions(key: string): Promise<number> {
    const { Versions = [] } = await this.s3.send(
      new ListObjectVersionsCommand({ Bucket: this.system.outputs.GitPushPipelineBucket, Prefix: key }),
    );
    return Versions.length;
  }

  public async deadLetter(): Promise<{ body: string; code?: string; reason?: string } | undefined> {
    const QueueUrl = this.system.service(Sqs).queue('Pushes-DeadLetterQueue.fifo').name;
    const { Messages = [] } = await this.sqs.send(
      new ReceiveMessageCommand({
        QueueUrl: `${this.system.endpoints.sqs}/123456789012/${QueueUrl}`,
        MessageAttributeNames: ['All'],
      }),
    );
    const [message] = Messages;
    const { code, reason } = message?.MessageAttributes ?? {};
    return message && { body: message.Body!, code: code?.StringValue, reason: reason?.StringValue };
  }

  public async stop(): Promise<void> {
    this.s3.destroy();
    this.sqs.destroy();
    await this.stack.stop();
    await this.host.stop();
  }
}
