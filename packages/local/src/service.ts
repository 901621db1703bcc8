/** How an AWS service takes part in a local run. */
import type { Iam } from './aws/iam/iam';
import type { Journal } from './journal';
import type { Clock } from './util/clock';

/** A resource of the template. */
export interface Resource {
  /** As in the template; the stack is in front where several have the same. */
  readonly logicalId: string;
  readonly type: string;
  /**
   * A readable name: the construct's path where the template has it, else the logical id. Unique in a run.
   */
  readonly name: string;
  /** As in the template. */
  readonly properties: Record<string, unknown>;
  /** Evaluates an expression of its template. */
  resolve(value: unknown): unknown;
}

/** What a bus says about an event. */
export interface Delivery {
  readonly source: string;
  readonly detailType: string;
  readonly resources: string[];
}

export interface Context {
  readonly iam: Iam;
  readonly clock: Clock;
  readonly journal: Journal;
  /** Where a developer reads what happens; `source` is a function's or a service's name. */
  log(source: string, line: string, invocation?: string): void;
  /** Says at the start what a resource does not do locally. */
  notice(text: string): void;
  /** `AWS_ENDPOINT_URL_…` variables of all services. */
  endpoints(): Record<string, string>;
  arn(service: string, resource: string): string;
  /**
   * Delivers something to a resource that takes it, for one service on behalf of another. @returns false
   * where none runs here
   */
  deliver(arn: string, body: string, about: Delivery): boolean;
  /** A service that takes part, by its class. */
  service<T extends Service>(type: abstract new (...args: never[]) => T): T;
}

/**
 * One service. The run opens every port first (`start`), so that resources may name each other's addresses in
 * any order; then it makes the resources (`create`), in the order in which the services are listed.
 */
export interface Service {
  /** The resource types that it runs. */
  readonly types: readonly string[];
  /** Its endpoint's name in `AWS_ENDPOINT_URL_<NAME>` and in `--json`, where SDKs can talk to it. */
  readonly endpoint?: {
    readonly name: string /** AWS's SDKs do not call it. */;
    readonly notAws?: boolean;
    url(): string;
  };
  start(resources: Resource[]): Promise<void>;
  ref(resource: Resource): unknown;
  attribute(resource: Resource, name: string): unknown;
  create(resource: Resource): Promise<void>;
  /**
   * Takes what another service sends to one of its resources. @returns false where the resource is not its
   * own
   */
  deliver?(arn: string, body: string, about: Delivery): boolean;
  stop(): Promise<void>;
}

/** The error for an attribute that a service does not know. */
export function unknownAttribute(resource: Resource, name: string): Error {
  return new Error(
    `The local runner does not know the attribute ${name} of ${resource.type} (${resource.name})`,
  );
}
