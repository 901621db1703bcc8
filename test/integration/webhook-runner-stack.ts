import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { DynamoDBClient, GetItemCommand, ScanCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import { PutSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import {
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { CfnOutput, Duration, type Stack } from 'aws-cdk-lib';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { EventBridge } from 'cdk-localhost/event-bridge';
import { S3 } from 'cdk-localhost/s3';
import { type RunningStack, startStack } from 'cdk-localhost/testing/stack';
import { clientFor, TurnedClock } from 'cdk-localhost/testing/stand-ins';
import { expect } from 'vitest';
import { fastClock, quicken } from './fast-time';
import { samplePeople, WebhookHost } from '../../demo/hosts/webhook/webhook-host';
import { endOfRun, startRun } from '../../demo/tour/webhook-tour';
import { newCheckpoint } from '../../lambda-src/webhook-runner/core/checkpoint';
import { runIdOf } from '../../lambda-src/webhook-runner/core/run-id';
import { WebhookDestination, WebhookRunner, type WebhookRunnerProps } from '../../src';
import {
  type Checkpoint,
  ENV,
  type RunEndedDetail,
  type RunMessage,
  type RunnerSettings,
  type RunRequest,
} from '../../src/webhook-runner/contract';

export const RECORDS = 3000;
export const BATCH = 100;
export const API_KEY = 'integration-key';
export const TOKEN = 'destination-token';
/** How long the function hides its message: a killed run goes on no later. */
export const VISIBILITY_SECONDS = 60;
/** How long nobody else works on a run whose function was killed. */
export const LEASE_MS = 15_000;
export const allIds = Array.from({ length: RECORDS }, (_, id) => id);
export const lines = samplePeople(RECORDS).toString().trim().split('\n');

/** A line of a file of failed records. */
export interface FailedLine {
  readonly record: number;
  readonly reason: string;
  readonly status?: number;
  readonly raw?: unknown;
  readonly rawBase64?: string;
}

/** Runners on the stand-ins with the real bundles, and the hosts that they talk to. */
export class RunnerStack {
  public static async start(
    build: (stack: Stack, runners: RunnerStack) => void,
    fast = false,
  ): Promise<RunnerStack> {
    const runners = new RunnerStack(await WebhookHost.start());
    try {
      runners.running = await startStack(
        stack => {
          runners.apiKey = new secretsmanager.Secret(stack, 'ApiKey');
          runners.token = new secretsmanager.Secret(stack, 'Token');
          build(stack, runners);
        },
        {
          clock: fast ? fastClock : runners.clock,
          transform: fast ? template => quicken(runners.folder, template as never) : hurry,
        },
      );
      await runners.connect();
      return runners;
    } catch (error) {
      await runners.stop();
      throw error;
    }
  }

  public readonly clock = new TurnedClock();
  /** For what a mapping module and a test share. */
  public readonly folder = mkdtempSync(path.join(tmpdir(), 'webhook-runner-test-'));
  public running!: RunningStack;
  public queues!: SQSClient;
  public dynamodb!: DynamoDBClient;
  public token!: secretsmanager.Secret;
  private apiKey!: secretsmanager.Secret;
  private runs = 0;

  private constructor(public readonly host: WebhookHost) {}

  public get logs(): string[] {
    return this.running.logs;
  }

  public add(stack: Stack, id: string, props: Partial<WebhookRunnerProps> = {}): void {
    const runner = new WebhookRunner(stack, id, {
      apiKey: this.apiKey,
      destination: WebhookDestination.http({ url: this.host.urls.destinationUrl }),
      allowedHosts: ['127.0.0.1'],
      allowPrivateHosts: true,
      batchSize: BATCH,
      runTimeout: Duration.seconds(10),
      ...props,
    });
    new CfnOutput(stack, `${id}Url`, { value: `${runner.url}/run` });
    new CfnOutput(stack, `${id}Queue`, { value: runner.queue.queueUrl });
    new CfnOutput(stack, `${id}Dead`, { value: runner.deadLetterQueue.queueUrl });
  }

  public async stop(): Promise<void> {
    this.dynamodb?.destroy();
    this.queues?.destroy();
    await this.running?.stop();
    await this.host.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** As if nothing had happened before. */
  public reset(): void {
    const { host } = this;
    host.files.set('data.ndjson', samplePeople(RECORDS));
    host.batches.length = 0;
    host.statuses.length = 0;
    host.records = 0;
    host.behave(undefined);
    host.callbackFailures = 0;
    host.callbackStatus = 503;
    host.onFile = () => false;
    host.onBatch = () => false;
    host.onStatus = () => false;
  }

  public output(name: string): string {
    return this.running.system.outputs[name];
  }

  public request(webhookId: string, changes: Partial<RunRequest> = {}): RunRequest {
    return this.host.request(webhookId, { data_url: this.host.fileUrl('data.ndjson'), ...changes });
  }

  /** `POST /run`; returns the webhook id. */
  public async run(runner: string, changes: Partial<RunRequest> = {}): Promise<string> {
    const webhookId = changes.webhook_id ?? `wh-${++this.runs}`;
    const { status, text } = await startRun(
      this.output(`${runner}Url`),
      this.request(webhookId, changes),
      API_KEY,
    );
    const request = this.request(webhookId, changes);
    expect([status, JSON.parse(text)]).toEqual([
      202,
      { status: 'accepted', webhook_id: webhookId, run_id: runIdOf(request) },
    ]);
    return webhookId;
  }

  /** A message as an earlier slice would have left it. */
  public message(checkpoint: Partial<Checkpoint> = {}, hop = 0): RunMessage {
    return {
      request: this.request(`wh-${++this.runs}`),
      checkpoint: { ...newCheckpoint(Date.now()), ...checkpoint },
      hop,
    };
  }

  public async send(runner: string, message: RunMessage | string): Promise<void> {
    const MessageBody = typeof message === 'string' ? message : JSON.stringify(message);
    await this.queues.send(new SendMessageCommand({ QueueUrl: this.output(`${runner}Queue`), MessageBody }));
  }

  public end(webhookId: string) {
    return endOfRun(this.host, webhookId);
  }

  /** The ids of the records of all batches that the destination took. */
  public get idsReceived(): number[] {
    return this.host.batches.flatMap(({ body }) =>
      (JSON.parse(body) as { id: number }[]).map(({ id }) => id),
    );
  }

  public statesOf(webhookId: string): string[] {
    return this.host.statuses.filter(status => status.webhookId === webhookId).map(({ state }) => state);
  }

  /** Every record at least once, the same batch always under the same key, another one under another. */
  public expectAtLeastOnce(batches: readonly { key: string; body: string }[] = this.host.batches): void {
    expect([...new Set(this.idsReceived)].sort((a, b) => a - b)).toEqual(allIds);
    const bodyOf = new Map<string, string>();
    const keyOf = new Map<string, string>();
    for (const { key, body } of batches) {
      expect(bodyOf.get(key) ?? body).toBe(body);
      expect(keyOf.get(body) ?? key).toBe(key);
      bodyOf.set(key, body);
      keyOf.set(body, key);
    }
  }

  /** Exactly one end, and nothing after it. */
  public expectOneEnd(webhookId: string, state: string): void {
    const states = this.statesOf(webhookId);
    expect(states.filter(each => each !== 'running')).toEqual([state]);
    expect(states.at(-1)).toBe(state);
  }

  /** Whoever held a run's lease is gone for long; `taken`: and somebody else had it in between. */
  public async expireLease(
    runner: string,
    message: Pick<RunMessage, 'request'>,
    taken = false,
  ): Promise<void> {
    await this.expire(runner, runIdOf(message.request), taken);
  }

  private async expire(runner: string, runId: string, taken: boolean): Promise<void> {
    const RunId = { S: runId };
    await this.dynamodb.send(
      new UpdateItemCommand({
        TableName: `${runner}-LeaseTable`,
        Key: { RunId },
        UpdateExpression: 'SET LeasedUntil = :zero ADD Epoch :more',
        ExpressionAttributeValues: { ':zero': { N: '0' }, ':more': { N: taken ? '1' : '0' } },
      }),
    );
  }

  /** Until when nobody else may work on a run, in milliseconds since 1970. */
  public async leasedUntil(runner: string, changes: Partial<RunRequest>): Promise<number> {
    const { Item } = await this.dynamodb.send(
      new GetItemCommand({
        TableName: `${runner}-LeaseTable`,
        Key: { RunId: { S: runIdOf(this.request('', changes)) } },
        ConsistentRead: true,
      }),
    );
    return Number(Item!.LeasedUntil.N);
  }

  /** The same for all runs of a runner. */
  public async expireLeases(runner: string): Promise<void> {
    const { Items = [] } = await this.dynamodb.send(new ScanCommand({ TableName: `${runner}-LeaseTable` }));
    for (const { RunId } of Items) {
      await this.expire(runner, RunId.S!, false);
    }
  }

  public async savedCheckpoint(
    runner: string,
    { request }: Pick<RunMessage, 'request'>,
  ): Promise<Checkpoint | undefined> {
    const Key = { RunId: { S: runIdOf(request) } };
    const { Item } = await this.dynamodb.send(
      new GetItemCommand({ TableName: `${runner}-LeaseTable`, Key, ConsistentRead: true }),
    );
    return Item?.Checkpoint && (JSON.parse(Item.Checkpoint.S!) as Checkpoint);
  }

  public async deadLetters(runner: string): Promise<{ body: string; reason?: string }[]> {
    const { Messages = [] } = await this.queues.send(
      new ReceiveMessageCommand({
        QueueUrl: this.output(`${runner}Dead`),
        MaxNumberOfMessages: 10,
        MessageAttributeNames: ['All'],
      }),
    );
    return Messages.map(({ Body, MessageAttributes }) => ({
      body: Body!,
      reason: MessageAttributes?.reason?.StringValue,
    }));
  }

  /** Messages that wait, are delayed or are in flight. */
  public async queued(runner: string): Promise<number> {
    const { Attributes = {} } = await this.queues.send(
      new GetQueueAttributesCommand({ QueueUrl: this.output(`${runner}Queue`), AttributeNames: ['All'] }),
    );
    const counts = Object.entries(Attributes).filter(([name]) =>
      name.startsWith('ApproximateNumberOfMessages'),
    );
    return counts.reduce((sum, [, count]) => sum + Number(count), 0);
  }

  /** `GET /runs/{run_id}` */
  public view(runner: string, changes: Partial<RunRequest>): Promise<Response> {
    return this.atRun(runner, changes, 'GET');
  }

  /** `DELETE /runs/{run_id}` */
  public cancel(runner: string, changes: Partial<RunRequest>): Promise<Response> {
    return this.atRun(runner, changes, 'DELETE');
  }

  private atRun(runner: string, changes: Partial<RunRequest>, method: string): Promise<Response> {
    const runId = runIdOf(this.request('', changes));
    return fetch(`${this.output(`${runner}Url`)}s/${runId}`, { method, headers: { 'x-api-key': API_KEY } });
  }

  /** When the next request to the runner's destination is due. */
  public async nextPlace(runner: string): Promise<number> {
    const Key = { RunId: { S: 'pace' } };
    const { Item } = await this.dynamodb.send(
      new GetItemCommand({ TableName: `${runner}-LeaseTable`, Key, ConsistentRead: true }),
    );
    return Number(Item!.NextAt.N);
  }

  /** The events of ended runs, and of each what lies in the bucket of failed records. */
  public ended(webhookId: string): RunEndedDetail[] {
    return this.running.system
      .service(EventBridge)
      .events.map(({ event }) => (event as unknown as { detail: RunEndedDetail }).detail)
      .filter(detail => detail.webhookId === webhookId);
  }

  public failedRecords({ failedRecords: kept }: RunEndedDetail): FailedLine[] {
    if (kept === undefined) return [];
    const bucket = this.running.system.service(S3).bucket(kept.bucket);
    return bucket
      .keys(kept.prefix)
      .filter(key => key.endsWith('.ndjson'))
      .flatMap(key => readFileSync(bucket.versionsOf(key)[0].content!.file, 'utf8').trim().split('\n'))
      .map(line => JSON.parse(line) as FailedLine);
  }

  private async connect(): Promise<void> {
    this.dynamodb = new DynamoDBClient(clientFor(this.running, 'dynamodb'));
    this.queues = new SQSClient(clientFor(this.running, 'sqs'));
    await this.putSecret('ApiKey', API_KEY);
    await this.putSecret('Token', JSON.stringify({ token: TOKEN }));
  }

  public async putSecret(SecretId: string, SecretString: string): Promise<void> {
    const secrets = new SecretsManagerClient(clientFor(this.running, 'secretsManager'));
    await secrets.send(new PutSecretValueCommand({ SecretId, SecretString }));
    secrets.destroy();
  }
}

/** Impatient, so that the tests are short: the policy itself is the core's matter. */
function hurry(template: { Resources?: Record<string, { Type: string; Properties?: unknown }> }): void {
  for (const { Properties } of Object.values(template.Resources ?? {})) {
    const variables = (Properties as { Environment?: { Variables?: Record<string, unknown> } } | undefined)
      ?.Environment?.Variables;
    const json = variables?.[ENV.settings];
    if (variables === undefined || typeof json !== 'string') continue;
    const settings = JSON.parse(json) as RunnerSettings;
    variables[ENV.settings] = JSON.stringify({
      ...settings,
      retry: { maxAttempts: 5, baseDelayMs: 20, maxDelayMs: 100 },
    });
  }
}
