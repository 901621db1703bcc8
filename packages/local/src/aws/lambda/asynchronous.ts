/**
 * What Lambda does with an asynchronous event: it tries again where the function fails or is throttled, and
 * sends the outcome to a destination or a dead-letter queue.
 * https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
 */
import { randomUUID } from 'node:crypto';
import type { FunctionConfig } from './function-config';
import type { InvocationResult } from './runtime/runtime-process';
import type { Context } from '../../service';
import { ServiceError } from '../aws-json';
import { Sqs } from '../sqs/sqs';

/** AWS::Lambda::EventInvokeConfig, and the dead-letter queue of the function itself. */
export interface AsynchronousConfig {
  maximumRetryAttempts?: number;
  maximumAgeSeconds?: number;
  onSuccess?: string;
  onFailure?: string;
  deadLetters?: string;
}

export type Invoke = (event: string, requestId: string) => Promise<InvocationResult>;

interface Work {
  readonly config: FunctionConfig;
  readonly settings: AsynchronousConfig;
  readonly event: string;
  readonly invoke: Invoke;
  readonly requestId: string;
  readonly began: number;
  attempts: number;
  throttles: number;
}

const RETRY_SECONDS = [60, 120];
const MAX_AGE_SECONDS = 6 * 60 * 60;
/**
 * A throttled event waits from one second up to five minutes, twice as long each time, and costs no attempt.
 */
const MAX_THROTTLE_SECONDS = 300;

export class AsynchronousInvocations {
  private readonly waiting = new Set<() => void>();
  private stopped = false;

  /** @param speed how many times shorter waits are than on AWS */
  public constructor(
    private readonly context: Context,
    private readonly speed: number,
  ) {}

  /** @returns how the first attempt ended; whatever follows goes on by itself */
  public start(
    config: FunctionConfig,
    settings: AsynchronousConfig,
    event: string,
    invoke: Invoke,
  ): Promise<InvocationResult> {
    const work: Work = {
      config,
      settings,
      event,
      invoke,
      requestId: randomUUID(),
      began: this.context.clock.now(),
      attempts: 0,
      throttles: 0,
    };
    return this.attempt(work);
  }

  public stop(): void {
    this.stopped = true;
    for (const cancel of this.waiting) cancel();
  }

  private async attempt(work: Work): Promise<InvocationResult> {
    const { config, settings } = work;
    const result = await work.invoke(work.event, work.requestId).catch((error: Error) => {
      if (!(error instanceof ServiceError) || error.code !== 'TooManyRequestsException') throw error;
      work.throttles++;
      this.again(work, Math.min(2 ** (work.throttles - 1), MAX_THROTTLE_SECONDS), {
        payload: JSON.stringify({ errorMessage: error.message, errorType: error.code }),
        isError: true,
      });
      return undefined;
    });
    if (!result) return { payload: '{"errorMessage":"Rate Exceeded."}', isError: true };
    work.attempts++;
    if (!result.isError) {
      this.finish(work, settings.onSuccess, 'Success', result);
    } else {
      this.context.log(config.name, `The asynchronous event failed: ${result.payload}`);
      const left = (settings.maximumRetryAttempts ?? RETRY_SECONDS.length) - work.attempts + 1;
      if (left > 0) this.again(work, RETRY_SECONDS[work.attempts - 1] ?? RETRY_SECONDS.at(-1)!, result);
      else this.fail(work, 'RetriesExhausted', result);
    }
    return result;
  }

  private again(work: Work, seconds: number, last: InvocationResult): void {
    const { clock } = this.context;
    const maximum = (work.settings.maximumAgeSeconds ?? MAX_AGE_SECONDS) * 1000;
    const at = clock.now() + (seconds * 1000) / this.speed;
    if (at - work.began > maximum / this.speed) return this.fail(work, 'EventAgeExceeded', last);
    if (this.stopped) return;
    const cancel = clock.at(at, () => {
      this.waiting.delete(cancel);
      this.attempt(work).catch((error: Error) => {
        if (!this.stopped) {
          this.context.log(work.config.name, `The asynchronous event was lost: ${error.message}`);
        }
      });
    });
    this.waiting.add(cancel);
  }

  private fail(work: Work, condition: string, result: InvocationResult): void {
    const { deadLetters } = work.settings;
    if (deadLetters?.includes(':sqs:')) {
      const { errorMessage = '' } = JSON.parse(result.payload || '{}') as { errorMessage?: string };
      const text = (StringValue: string) => ({ DataType: 'String', StringValue });
      this.context
        .service(Sqs)
        .queue(deadLetters)
        .send({
          body: work.event,
          attributes: {
            RequestID: text(work.requestId),
            ErrorCode: { DataType: 'Number', StringValue: '200' },
            ...(errorMessage && { ErrorMessage: text(errorMessage.slice(0, 1024)) }),
          },
        });
    }
    this.finish(work, work.settings.onFailure, condition, result);
  }

  /** https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html */
  private finish(
    work: Work,
    destination: string | undefined,
    condition: string,
    result: InvocationResult,
  ): void {
    const { config, requestId, event, attempts } = work;
    if (destination === undefined) {
      if (result.isError) {
        this.context.log(config.name, `The asynchronous event ${requestId} ended: ${condition}`);
      }
      return;
    }
    const record = {
      version: '1.0',
      timestamp: new Date(this.context.clock.now()).toISOString(),
      requestContext: {
        requestId,
        functionArn: `${config.arn}:$LATEST`,
        condition,
        approximateInvokeCount: attempts,
      },
      requestPayload: JSON.parse(event) as unknown,
      responseContext: {
        statusCode: 200,
        executedVersion: '$LATEST',
        ...(result.isError && { functionError: 'Unhandled' }),
      },
      responsePayload: JSON.parse(result.payload || 'null') as unknown,
    };
    const delivery = {
      source: 'lambda',
      detailType: `Lambda Function Invocation Result - ${result.isError ? 'Failure' : 'Success'}`,
      resources: [`${config.arn}:$LATEST`, destination],
    };
    if (!this.context.deliver(destination, JSON.stringify(record), delivery)) {
      const text = JSON.stringify(record);
      this.context.log(config.name, `Its destination ${destination} does not run here: ${text}`);
    }
  }
}
