/** Calls that a test wants to fail, as a service does on a bad day. */
export class Faults {
  private readonly planned = new Map<string, { times: number; statusCode: number }>();

  public failNext(operation: string, times: number, statusCode: number): void {
    this.planned.set(operation, { times, statusCode });
  }

  /** The status with which this call has to fail, if it has to. */
  public take(operation: string): number | undefined {
    const fault = this.planned.get(operation);
    if (!fault || fault.times <= 0) return undefined;
    fault.times--;
    return fault.statusCode;
  }
}
