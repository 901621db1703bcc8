/** A function as its template describes it, with every intrinsic function resolved. */
export interface FunctionConfig {
  readonly name: string;
  readonly arn: string;
  readonly logicalId: string;
  /** Where its code is; a folder, as Lambda would have unpacked it. */
  readonly codePath: string;
  readonly handler: string;
  readonly runtime: string;
  readonly memoryMiB: number;
  readonly timeoutSeconds: number;
  readonly environment: Record<string, string>;
  readonly roleArn: string;
  readonly jsonLogs: boolean;
  readonly logLevel: string;
  /** The ARNs of its layers. */
  readonly layers: readonly string[];
  /** How many events of it may run at once; more are refused. */
  readonly reservedConcurrency?: number;
  /** Where asynchronous events go that it cannot handle. */
  readonly deadLetterArn?: string;
}
