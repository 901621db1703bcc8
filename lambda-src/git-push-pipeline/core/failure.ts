/** Why a message cannot be handled, for programs and for people. */
export class PushFailure extends Error {
  public constructor(
    public readonly code: string,
    message: string,
    public readonly retryable: boolean,
  ) {
    super(message);
  }
}
