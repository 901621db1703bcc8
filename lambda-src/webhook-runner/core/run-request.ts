import type {
  Json,
  JsonObject,
  MappingRequest,
  RunRequest,
  SourceRule,
} from '../../../src/webhook-runner/contract';
import { hostAllowed } from '../../shared/allowed-hosts';

export type ParsedRequest = { readonly request: RunRequest } | { readonly message: string };

export interface RequestPolicy {
  readonly allowedHosts: readonly string[];
  readonly sources?: readonly SourceRule[];
  readonly allowHttp?: boolean;
}

/** A run travels in a queue message of 256 KiB together with its checkpoint. */
const MAX_BODY_BYTES = 128 * 1024;
const MAX_TEXT = {
  webhook_id: 128,
  data_url: 8192,
  callback_url: 2048,
  access_token: 8192,
  label_name: 1024,
  tenant_id: 256,
} as const;
/** Part of addresses and of objects' names, where dots alone would mean a folder. */
const WEBHOOK_ID = /^(?!\.{1,2}$)[A-Za-z0-9._~-]+$/;
const HEADER_VALUE = /^[\x21-\x7e]+$/;

class Problem extends Error {}

/** Reads the body of `POST /run`; the message of a refusal says what to change and repeats no value. */
export function parseRunRequest(body: string, policy: RequestPolicy): ParsedRequest {
  try {
    return { request: read(body, policy) };
  } catch (error) {
    if (error instanceof Problem) {
      return { message: error.message };
    }
    throw error;
  }
}

/** What a mapping may see: the token and the URLs stay out, since a record could carry them away. */
export function mappingRequest(request: RunRequest): MappingRequest {
  const { access_token: _token, data_url: _dataUrl, callback_url: _callbackUrl, ...visible } = request;
  return visible;
}

/** Where the status of a run goes: the two parts joined as they are. */
export function statusUrl(request: Pick<RunRequest, 'callback_url' | 'webhook_id'>): string {
  return `${request.callback_url}${encodeURIComponent(request.webhook_id)}`;
}

function read(body: string, policy: RequestPolicy): RunRequest {
  if (Buffer.byteLength(body) > MAX_BODY_BYTES) {
    throw new Problem(`the body must have at most ${MAX_BODY_BYTES} bytes`);
  }
  const value = parseObject(body);
  for (const name of ['webhook_id', 'data_url', 'callback_url', 'access_token'] as const) {
    text(value, name, true);
  }
  text(value, 'label_name', false);
  text(value, 'tenant_id', false);
  // A platform sends null for what it does not have.
  const members = Object.fromEntries(Object.entries(value).filter(([, member]) => member !== null));
  const request = { ...members, settings: members.settings ?? {} } as RunRequest;
  if (typeof request.settings !== 'object' || Array.isArray(request.settings)) {
    throw new Problem('`settings` must be a JSON object');
  }
  if (!WEBHOOK_ID.test(request.webhook_id)) {
    throw new Problem(
      '`webhook_id` must consist of letters, digits, ".", "_", "~" and "-", not of dots alone',
    );
  }
  for (const name of ['access_token', 'tenant_id'] as const) {
    if (request[name] !== undefined && !HEADER_VALUE.test(request[name])) {
      throw new Problem(`\`${name}\` must consist of visible ASCII characters: it is sent as a header`);
    }
  }
  if (
    request.batch_offset !== undefined &&
    !(Number.isSafeInteger(request.batch_offset) && request.batch_offset >= 0)
  ) {
    throw new Problem('`batch_offset` must be a whole number of records, 0 or more');
  }
  source(request.data_url, policy);
  const callback = url('callback_url', request.callback_url, policy);
  if (!URL.canParse(statusUrl(request)) || new URL(statusUrl(request)).origin !== callback.origin) {
    throw new Problem(
      '`callback_url` must have a path that the webhook_id can be appended to: end it with "/"',
    );
  }
  return request;
}

function parseObject(body: string): JsonObject {
  let value: Json;
  try {
    value = JSON.parse(body) as Json;
  } catch {
    throw new Problem('the body must be a JSON object');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Problem('the body must be a JSON object');
  }
  return value;
}

function text(value: JsonObject, name: keyof typeof MAX_TEXT, required: boolean): void {
  const member = value[name];
  if (member === undefined || member === null) {
    if (required) {
      throw new Problem(`\`${name}\` is missing: it must be a string`);
    }
  } else if (typeof member !== 'string' || member === '') {
    throw new Problem(`\`${name}\` must be a string that is not empty`);
  } else if (member.length > MAX_TEXT[name]) {
    throw new Problem(`\`${name}\` must have at most ${MAX_TEXT[name]} characters`);
  }
}

function source(value: string, policy: RequestPolicy): void {
  const object = objectOf(value);
  if (object === undefined) {
    url('data_url', value, policy);
  } else if (!policy.sources?.some(rule => covers(rule, object))) {
    throw new Problem('the bucket or key of `data_url` is not allowed: add it to `sources`');
  }
}

/** Of `s3://bucket/key`; undefined where the text is not such an address. */
export function objectOf(address: string): { readonly bucket: string; readonly key: string } | undefined {
  const [, bucket, key] = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\/(.+)$/s.exec(address) ?? [];
  return bucket === undefined ? undefined : { bucket, key };
}

/** A key with dots for a folder names another object once it is part of a URL. */
export function covers(
  { bucket, prefix }: SourceRule,
  object: { readonly bucket: string; readonly key: string },
): boolean {
  return (
    bucket === object.bucket &&
    object.key.startsWith(prefix) &&
    !object.key.split('/').some(part => part === '.' || part === '..')
  );
}

function url(name: string, value: string, policy: RequestPolicy): URL {
  if (!URL.canParse(value)) {
    throw new Problem(`\`${name}\` must be a URL`);
  }
  const parsed = new URL(value);
  if (parsed.protocol !== 'https:' && !(policy.allowHttp && parsed.protocol === 'http:')) {
    throw new Problem(`\`${name}\` must be an https URL`);
  }
  if (parsed.username !== '' || parsed.password !== '') {
    throw new Problem(`\`${name}\` must not carry a user name or password`);
  }
  if (!hostAllowed(parsed.hostname, policy.allowedHosts)) {
    throw new Problem(`the host of \`${name}\` is not allowed: add it to \`allowedHosts\``);
  }
  return parsed;
}
