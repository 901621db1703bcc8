/**
 * The Sentry sink as a part of a local run. No resource makes it: functions reach it by the DSN that they are
 * given.
 */
import { type Resource, type Service, unknownAttribute } from 'cdk-localhost/service';
import { SentrySink } from './sentry-sink';

export class Sentry implements Service {
  public readonly types = [];
  public readonly endpoint = { name: 'sentry', url: () => this.sink.url, notAws: true };
  public sink!: SentrySink;

  public async start(): Promise<void> {
    this.sink = await SentrySink.start();
  }

  public ref({ name }: Resource): string {
    return name;
  }

  public attribute(resource: Resource, name: string): unknown {
    throw unknownAttribute(resource, name);
  }

  public async create(): Promise<void> {
    // there is nothing to make
  }

  public async stop(): Promise<void> {
    await this.sink?.stop();
  }
}
