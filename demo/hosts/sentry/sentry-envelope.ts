/**
 * Reads a Sentry envelope, strictly: what Sentry forgives but GlitchTip or Bugsink does not is an error here.
 * https://develop.sentry.dev/sdk/data-model/envelopes/
 */

export interface SentryEvent {
  readonly event_id: string;
  readonly timestamp: string | number;
  readonly platform: string;
  readonly level?: string;
  readonly exception?: { readonly values: readonly SentryException[] };
  readonly tags?: Readonly<Record<string, string>>;
  readonly contexts?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly [member: string]: unknown;
}

export interface SentryException {
  readonly type: string;
  readonly value?: string;
  /** `source` says what it is to the last error: `cause`, or `errors[0]`. */
  readonly mechanism?: { readonly source?: string };
  readonly stacktrace?: {
    readonly frames: readonly {
      readonly filename?: string;
      readonly function?: string;
      readonly in_app?: boolean;
      readonly lineno?: number;
      readonly pre_context?: readonly string[];
      readonly context_line?: string;
      readonly post_context?: readonly string[];
    }[];
  };
}

/** What an exception is to the error itself, in words. */
export function relationOf({ mechanism }: SentryException): string {
  return mechanism?.source?.startsWith('errors[') ? 'One of its errors:' : 'Caused by';
}

export interface Envelope {
  readonly header: Readonly<Record<string, unknown>>;
  readonly event?: SentryEvent;
  /** What a client report says was not sent, by reason. */
  readonly discarded?: Readonly<Record<string, number>>;
}

const EVENT_ID = /^[0-9a-f]{32}$/;
const UTC_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;
const LEVELS = ['fatal', 'error', 'warning', 'info', 'debug'];
const NEWLINE = 0x0a;
const MAX_EVENT_BYTES = 1024 * 1024;

/** @throws with what is wrong with it */
export function parseEnvelope(bytes: Buffer): Envelope {
  const [headerLine, afterHeader] = lineAt(bytes, 0);
  const header = objectOf(headerLine, 'the envelope header');
  if (!UTC_TIME.test(String(header.sent_at))) throw new Error('sent_at must be a time in UTC');
  let event: SentryEvent | undefined;
  let discarded: Record<string, number> | undefined;
  for (let at = afterHeader; at < bytes.length; ) {
    const { type, body, next } = itemAt(bytes, at);
    at = next;
    if (type === 'event' && !event) event = body as unknown as SentryEvent;
    else if (type === 'client_report' && !discarded) discarded = readClientReport(body);
    else throw new Error(`an item must be one event or one client_report, not another ${String(type)}`);
  }
  if (event) {
    if (!EVENT_ID.test(String(header.event_id))) {
      throw new Error('event_id in the envelope header must be 32 lower-case hexadecimal digits');
    }
    if (event.event_id !== header.event_id) throw new Error('event_id differs between envelope and event');
    checkEvent(event);
  } else if (!discarded) {
    throw new Error('the envelope has no item');
  }
  return { header, event, discarded };
}

function itemAt(bytes: Buffer, at: number): { type: unknown; body: Record<string, unknown>; next: number } {
  const [itemLine, start] = lineAt(bytes, at);
  const item = objectOf(itemLine, 'the item header');
  const end = item.length === undefined ? endOfLine(bytes, start) : start + Number(item.length);
  if (!Number.isInteger(end) || end > bytes.length) throw new Error('length is longer than the envelope');
  if (end < bytes.length && bytes[end] !== NEWLINE) {
    throw new Error('after an item there must be a line feed');
  }
  if (end - start > MAX_EVENT_BYTES) throw new Error('the event is larger than 1 MiB');
  return { type: item.type, body: objectOf(bytes.toString('utf8', start, end), 'the event'), next: end + 1 };
}

function readClientReport({ timestamp, discarded_events }: Record<string, unknown>): Record<string, number> {
  if (
    !UTC_TIME.test(String(timestamp)) ||
    !Array.isArray(discarded_events) ||
    discarded_events.length === 0
  ) {
    throw new Error('a client report has a timestamp and discarded_events');
  }
  const discarded: Record<string, number> = {};
  for (const { reason, category, quantity } of discarded_events as Record<string, unknown>[]) {
    if (typeof reason !== 'string' || category !== 'error' || !Number.isInteger(quantity)) {
      throw new Error('a discarded event has a reason, the category error and a quantity');
    }
    discarded[reason] = (discarded[reason] ?? 0) + Number(quantity);
  }
  return discarded;
}

/** An envelope that a sink took. */
export interface Delivery extends Envelope {
  readonly event: SentryEvent;
  readonly receivedAt: Date;
  readonly path: string;
  readonly auth: string;
}

/** The parts of Sentry's event schema that a crash report touches. */
function checkEvent({ timestamp, platform, level = 'error', exception, tags = {} }: SentryEvent): void {
  if (typeof timestamp !== 'number' && !UTC_TIME.test(timestamp)) {
    throw new Error('timestamp must be a number or a time in UTC');
  }
  if (typeof platform !== 'string' || platform === '') throw new Error('platform is missing');
  if (!LEVELS.includes(level)) throw new Error(`level must be one of ${LEVELS.join(', ')}`);
  if (!Array.isArray(exception?.values) || exception.values.length === 0) {
    throw new Error('exception.values is missing');
  }
  for (const { type, stacktrace } of exception.values as SentryException[]) {
    if (typeof type !== 'string' || type === '') throw new Error('an exception has no type');
    if (stacktrace && (!Array.isArray(stacktrace.frames) || stacktrace.frames.length === 0)) {
      throw new Error('a stack trace has no frames');
    }
  }
  for (const [name, value] of Object.entries(tags)) {
    if (typeof value !== 'string' || value.length > 200 || name.length > 32) {
      throw new Error(`the tag ${name} is not a text of at most 200 characters`);
    }
  }
}

function lineAt(bytes: Buffer, start: number): [string, number] {
  const end = endOfLine(bytes, start);
  return [bytes.toString('utf8', start, end), end + 1];
}

function endOfLine(bytes: Buffer, start: number): number {
  const end = bytes.indexOf(NEWLINE, start);
  return end < 0 ? bytes.length : end;
}

function objectOf(text: string, what: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(`${what} is not JSON`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error(`${what} is not a JSON object`);
  }
  return value as Record<string, unknown>;
}
