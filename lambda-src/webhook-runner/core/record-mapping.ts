import type { Handling, Transformed } from './batch';
import { ByteMapping } from './byte-mapping';
import { isExact } from './json-scan';
import { MappingError } from './members';
import type { Json, JsonObject, MappingRequest, MappingStep } from '../../../src/webhook-runner/contract';

/**
 * A record as it is to be sent, a body of its own with its content type, or nothing to leave the record out.
 */
export type MappedRecord = { readonly [member: string]: Json | undefined } | OwnBody | undefined;

/** Exactly these two members make a body: the record then travels alone, in a request with this body. */
export interface OwnBody {
  readonly body: string | Uint8Array;
  readonly contentType: string;
}

/**
 * The signature of a user's own mapping module: `module.exports = (record, request) => …`, `exports.map` or
 * `export default`.
 */
export type RecordMapper = (record: JsonObject, request: MappingRequest) => MappedRecord;

/**
 * The mapper of a user's module: what it exports, or its export `map` or `default`. The synth looks for the
 * same.
 */
export function mapperOf(module: unknown): RecordMapper {
  const { map, default: byDefault } = (module ?? {}) as { map?: unknown; default?: unknown };
  const mapper = [module, map, byDefault].find(candidate => typeof candidate === 'function');
  if (mapper === undefined) {
    throw new MappingError(
      'the mapping module must export a function (record, request) => record: `module.exports = …` or `exports.map = …`',
    );
  }
  return mapper as RecordMapper;
}

/** How the lines of a run are handled: mapped by steps or a user's module, or passed on unchanged. */
export function lineHandling(
  mapping: readonly MappingStep[] | RecordMapper | undefined,
  request: MappingRequest,
): Handling {
  if (typeof mapping === 'function') {
    return { transform: lineMapper(mapping, request) };
  }
  return mapping === undefined ? {} : { byteMapping: new ByteMapping(mapping, request) };
}

/**
 * What a mapping makes of one line that is known to be a JSON object, with whatever goes wrong as that
 * record's error. `inexact`: it has a number that a double cannot hold.
 */
export function lineMapper(
  mapper: RecordMapper,
  request: MappingRequest,
): (line: string, inexact: boolean) => Transformed {
  return (line, inexact) => {
    try {
      if (inexact && !('rawJSON' in JSON)) {
        return { error: 'has a number that this version of Node.js cannot carry through a mapping exactly' };
      }
      const record = (inexact ? JSON.parse(line, exactNumbers as never) : JSON.parse(line)) as JsonObject;
      return toTransformed(mapper(record, request));
    } catch (error) {
      return { error: `could not be mapped: ${textOf(error)}` };
    }
  };
}

/**
 * A number that a double cannot hold passes through a mapping as its own text; computing with it throws a
 * TypeError.
 */
function exactNumbers(_key: string, value: unknown, { source }: { readonly source?: string }): unknown {
  return typeof value === 'number' && source !== undefined && !isExact(source)
    ? (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(source)
    : value;
}

function toTransformed(mapped: MappedRecord): Transformed {
  if (mapped === undefined) {
    return 'drop';
  }
  if (typeof mapped !== 'object' || mapped === null || Array.isArray(mapped)) {
    return { error: 'was mapped to something that is not an object' };
  }
  if (typeof (mapped as { then?: unknown }).then === 'function') {
    // Its rejection would end the process.
    Promise.resolve(mapped).catch(() => undefined);
    return { error: 'was mapped to a promise: a mapping must be synchronous' };
  }
  if (isOwnBody(mapped)) {
    return {
      body: typeof mapped.body === 'string' ? Buffer.from(mapped.body) : mapped.body,
      contentType: mapped.contentType,
    };
  }
  const json = JSON.stringify(mapped) as string | undefined;
  if (json === undefined || json[0] !== '{') {
    return { error: 'was mapped to something that is not a JSON object' };
  }
  if (json === '{}' && Symbol.iterator in mapped) {
    return {
      error: `was mapped to a ${mapped[Symbol.toStringTag as never] ?? 'list'}, whose content JSON does not have`,
    };
  }
  return json.includes('null') && mayHaveNoJson(mapped) && hasNoJson(mapped)
    ? { error: 'was mapped to a number that JSON does not have: NaN or Infinity would arrive as null' }
    : { json };
}

/**
 * Whether it is worth while to look closely, which costs as much as writing it down. Says yes wherever it
 * cannot know.
 */
function mayHaveNoJson(value: object): boolean {
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') {
    return true;
  }
  if (Array.isArray(value)) {
    return value.some(mayBeNoJson);
  }
  if (value instanceof Number) {
    return true;
  }
  for (const key in value) {
    if (mayBeNoJson((value as { [key: string]: unknown })[key])) {
      return true;
    }
  }
  return false;
}

function mayBeNoJson(value: unknown): boolean {
  switch (typeof value) {
    case 'number':
      return !Number.isFinite(value);
    case 'object':
      return value !== null && mayHaveNoJson(value);
    case 'function':
    case 'bigint':
      return true; // either may have a `toJSON`
    default:
      return false;
  }
}

/** As it is written, so behind what a `toJSON` answers. */
function hasNoJson(mapped: object): boolean {
  let found = false;
  JSON.stringify(mapped, (_, value: unknown) => {
    found ||= (typeof value === 'number' || value instanceof Number) && !Number.isFinite(Number(value));
    return value;
  });
  return found;
}

function isOwnBody(mapped: NonNullable<MappedRecord>): mapped is OwnBody {
  const { body, contentType } = mapped as Partial<OwnBody>;
  return (
    typeof contentType === 'string' &&
    (typeof body === 'string' || body instanceof Uint8Array) &&
    Object.keys(mapped).length === 2
  );
}

/** The text of whatever was thrown: not everything can be turned into one. */
function textOf(error: unknown): string {
  try {
    return error instanceof Error ? String(error.message) : String(error);
  } catch {
    return 'the mapping threw something that has no text';
  }
}
