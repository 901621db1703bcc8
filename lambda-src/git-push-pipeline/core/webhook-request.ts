/** A webhook as it came over HTTP. */
export interface WebhookRequest {
  /** Under lower-case names. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** The very bytes that a signature covers. */
  readonly body: Buffer;
}

/** The parts of an HTTP API event (payload format 2.0) that are read here. */
export interface HttpApiEvent {
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly body?: string;
  readonly isBase64Encoded?: boolean;
}

export function requestFromHttpApiEvent(event: HttpApiEvent): WebhookRequest {
  const headers = Object.fromEntries(
    Object.entries(event.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
  );
  return { headers, body: Buffer.from(event.body ?? '', event.isBase64Encoded ? 'base64' : 'utf8') };
}
