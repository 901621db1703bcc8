/**
 * What the caller has to know, and can do something about: over HTTP an answer, to a direct caller an error
 * of this name.
 */
export class Refusal extends Error {
  public constructor(
    /** For a `Catch` of Step Functions and for a program that reads the answer. */
    public readonly name: string,
    public readonly status: number,
    message: string,
    /** Seconds after which trying again makes sense. */
    public readonly retryAfter?: number,
  ) {
    super(message);
  }
}

/** Bad input; the message names the member, what it got, and what is allowed. */
export const invalidInput = (message: string): Refusal => new Refusal('InvalidInput', 400, message);

export const codeUnknown = (): Refusal => new Refusal('CodeUnknown', 404, 'There is no such code');
