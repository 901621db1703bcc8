/**
 * Message move tasks, by which a dead-letter queue is redriven. They finish at once: there is never one
 * running, or to cancel.
 */
import { randomUUID } from 'node:crypto';
import { ServiceError } from '../aws-json';
import { invalidValue } from './errors';
import type { Queue } from './queue';

interface MoveTask {
  readonly TaskHandle: string;
  readonly Status: 'COMPLETED' | 'FAILED';
  readonly SourceArn: string;
  readonly DestinationArn?: string;
  readonly ApproximateNumberOfMessagesMoved: number;
  readonly ApproximateNumberOfMessagesToMove: number;
  readonly FailureReason?: string;
  readonly StartedTimestamp: number;
}

const MAX_RESULTS = 10;

export class MoveTasks {
  private readonly tasks: MoveTask[] = [];

  /** @param queues all there are, by name */
  public constructor(private readonly queues: ReadonlyMap<string, Queue>) {}

  /** https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html */
  public start(source: Queue, destinationArn: string | undefined, startedAt: number): object {
    const { arn: sourceArn } = source;
    const sources = [...this.queues.values()].filter(({ settings }) => settings.deadLetterArn === sourceArn);
    if (sources.length === 0) throw invalidValue('Source queue must be configured as a Dead Letter Queue.');
    const destination = destinationArn === undefined ? undefined : this.find(destinationArn);
    if (destination && destination.settings.fifo !== source.settings.fifo) {
      throw invalidValue('Source and destination queue must be of the same type.');
    }
    const toMove = source.count().visible;
    let moved = 0;
    // Without a destination a message goes back to where it came from, which is known only of those that SQS
    // itself put here.
    const failed = source.moveAll(({ deadLetterSourceArn }) => {
      const target = destination ?? sources.find(({ arn }) => arn === deadLetterSourceArn);
      if (target) moved++;
      return target;
    });
    const task: MoveTask = {
      TaskHandle: Buffer.from(JSON.stringify({ taskId: randomUUID(), sourceArn })).toString('base64'),
      Status: failed ? 'FAILED' : 'COMPLETED',
      SourceArn: sourceArn,
      DestinationArn: destinationArn,
      ApproximateNumberOfMessagesMoved: moved,
      ApproximateNumberOfMessagesToMove: toMove,
      FailureReason: failed ? 'CouldNotDetermineMessageSource' : undefined,
      StartedTimestamp: startedAt,
    };
    this.tasks.unshift(task);
    return { TaskHandle: task.TaskHandle };
  }

  /** The newest first. Handles are shown of running tasks only, so of none. */
  public list({ arn }: Queue, maxResults = 1): object {
    if (!(maxResults >= 1 && maxResults <= MAX_RESULTS)) {
      throw invalidValue(
        `Value ${maxResults} for parameter MaxResults is invalid. Reason: Must be between 1 and 10.`,
      );
    }
    const Results = this.tasks
      .filter(({ SourceArn }) => SourceArn === arn)
      .slice(0, maxResults)
      .map(({ TaskHandle: _, ...task }) => task);
    return { Results };
  }

  public find(arn: string): Queue {
    const found = [...this.queues.values()].find(queue => queue.arn === arn);
    if (!found) {
      throw new ServiceError(
        'ResourceNotFoundException',
        "The resource that you specified for the SourceArn or DestinationArn parameter doesn't exist.",
      );
    }
    return found;
  }
}
