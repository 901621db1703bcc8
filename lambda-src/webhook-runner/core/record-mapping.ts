import type { AssemblerOptions, Transformed } from './batch';
import type { Json, JsonObject, MappingRequest, MappingStep } from '../../../src/webhook-runner/contract';

/** A record as it is to be sent, a body of its own with its content type, or nothing to leave the record out. */
export type MappedRecord = { readonly [member: string]: Json | undefined } | OwnBody | undefined;

/** Exactly these two members make a body: the record then travels alone, in a request with this body. */
export interface OwnBody {
  readonly body: string | Uint8Array;
  readonly contentType: string;
}

/** The signature of a user's own mapping module: `module.exports = (record, request) => …` or `exports.map`. */
export type RecordMapper = (record: JsonObject, request: MappingRequest) => MappedRecord;

type Step = (record: JsonObject, request: MappingRequest) => JsonObject;

export class MappingError extends Error {
  public override readonly name = 'MappingError';
}

/** The mapper of a user's module: what it exports, or its export `map` or `default`. */
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

/** How the lines of a run are handled: mapped (by steps or a user's module), checked, or passed on as the bytes they are. */
export function lineHandling(
  mapping: readonly MappingStep[] | RecordMapper | undefined,
  validate: boolean,
  request: MappingRequest,
): Pick<AssemblerOptions, 'check' | 'transform' | 'transformBytes'> {
  if (typeof mapping === 'function') {
    return { transform: lineMapper(mapping, request) };
  }
  if (mapping === undefined) {
    return { check: validate ? validateLine : undefined };
  }
  const transform = lineMapper(compileMapping(mapping), request);
  const parts = JSON.stringify([mapping, request]);
  // JSON has its structure in ASCII: where every character stands for a byte, it is the same mapping.
  const [steps, seen] = JSON.parse(Buffer.from(parts).toString('latin1')) as [
    readonly MappingStep[],
    MappingRequest,
  ];
  return parts.includes('\\u')
    ? { transform }
    : { transform, transformBytes: lineMapper(compileMapping(steps), seen) };
}

/** Checks one line of a run without mapping; an answer is why it is rejected. */
export function validateLine(line: string): string | undefined {
  const record = parseRecord(line);
  return typeof record === 'string' ? record : undefined;
}

/** What a mapping makes of one line, with whatever goes wrong in it as that record's error. */
export function lineMapper(mapper: RecordMapper, request: MappingRequest): (line: string) => Transformed {
  return line => {
    const record = parseRecord(line);
    if (typeof record === 'string') {
      return { error: record };
    }
    try {
      return toTransformed(mapper(record, request));
    } catch (error) {
      return { error: `could not be mapped: ${error instanceof Error ? error.message : String(error)}` };
    }
  };
}

function parseRecord(line: string): JsonObject | string {
  let record: Json;
  try {
    record = JSON.parse(line) as Json;
  } catch {
    return 'is not valid JSON';
  }
  return typeof record === 'object' && record !== null && !Array.isArray(record)
    ? record
    : 'is not a JSON object';
}

function toTransformed(mapped: MappedRecord): Transformed {
  if (mapped === undefined) {
    return 'drop';
  }
  if (typeof mapped !== 'object' || mapped === null || Array.isArray(mapped)) {
    return { error: 'was mapped to what is not an object' };
  }
  if (isOwnBody(mapped)) {
    return {
      body: typeof mapped.body === 'string' ? Buffer.from(mapped.body) : mapped.body,
      contentType: mapped.contentType,
    };
  }
  if (typeof (mapped as { then?: unknown }).then === 'function') {
    return { error: 'was mapped to a promise: a mapping must answer at once' };
  }
  return { json: JSON.stringify(mapped) };
}

function isOwnBody(mapped: NonNullable<MappedRecord>): mapped is OwnBody {
  const { body, contentType } = mapped as Partial<OwnBody>;
  return (
    typeof contentType === 'string' &&
    (typeof body === 'string' || body instanceof Uint8Array) &&
    Object.keys(mapped).length === 2
  );
}

/** Turns the steps of a declarative mapping into a mapper; throws a `MappingError` for steps that cannot be meant. */
export function compileMapping(steps: readonly MappingStep[]): RecordMapper {
  const compiled = steps.map(compileStep);
  return (record, request) => {
    let current = record;
    for (const step of compiled) {
      current = step(current, request);
    }
    return current;
  };
}

function compileStep(step: MappingStep): Step {
  switch (step.op) {
    case 'pick': {
      const paths = step.fields.map(path);
      return record => {
        const picked: JsonObject = {};
        paths.forEach(field => {
          const value = read(record, field);
          if (value !== undefined) {
            write(picked, field, value);
          }
        });
        return picked;
      };
    }
    case 'remove': {
      const paths = step.fields.map(path);
      return record => {
        paths.forEach(field => remove(record, field));
        return record;
      };
    }
    case 'rename':
    case 'copy': {
      const [from, to] = [path(step.from), path(step.to)];
      return record => {
        const value = read(record, from);
        if (value === undefined) {
          return record;
        }
        if (step.op === 'rename') {
          remove(record, from);
        }
        write(record, to, step.op === 'rename' ? value : structured(value));
        return record;
      };
    }
    case 'set':
    case 'default': {
      const field = path(step.field);
      return record => {
        if (step.op === 'set' || (read(record, field) ?? null) === null) {
          write(record, field, structured(step.value));
        }
        return record;
      };
    }
    case 'fromRequest': {
      const [field, member] = [path(step.field), path(step.member)];
      if (['access_token', 'data_url', 'callback_url'].includes(member[0])) {
        throw new MappingError(
          `a mapping cannot read \`${member[0]}\` of the request: it must not leave with the records`,
        );
      }
      return (record, request) => {
        const value = read(request as JsonObject, member);
        if (value !== undefined) {
          write(record, field, structured(value));
        }
        return record;
      };
    }
    case 'nest': {
      const field = path(step.field);
      return record => {
        const outer: JsonObject = {};
        write(outer, field, record);
        return outer;
      };
    }
    default:
      throw new MappingError(
        '`op` of a mapping step must be pick, remove, rename, copy, set, default, fromRequest or nest, got ' +
          JSON.stringify((step as { op?: unknown }).op),
      );
  }
}

/** A plain name is one top-level key; with a leading slash it is a JSON Pointer. */
function path(field: string): readonly string[] {
  if (typeof field !== 'string' || field === '' || field === '/') {
    throw new MappingError(
      `a field of a mapping must be a key or a JSON Pointer such as "/properties/audience", got ${JSON.stringify(field)}`,
    );
  }
  const keys = field.startsWith('/')
    ? field
        .slice(1)
        .split('/')
        .map(key => key.replace(/~1/g, '/').replace(/~0/g, '~'))
    : [field];
  if (keys.includes('__proto__')) {
    throw new MappingError('a field of a mapping must not be named "__proto__"');
  }
  return keys;
}

function read(record: JsonObject, keys: readonly string[]): Json | undefined {
  let value: Json | undefined = record;
  for (const key of keys) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) {
      return undefined;
    }
    value = (value as JsonObject)[key];
  }
  return value;
}

function write(record: JsonObject, keys: readonly string[], value: Json): void {
  let target = record;
  for (let i = 0; i < keys.length - 1; i += 1) {
    const next = Object.hasOwn(target, keys[i]) ? target[keys[i]] : undefined;
    if (typeof next === 'object' && next !== null) {
      target = next as JsonObject;
    } else {
      target = target[keys[i]] = {};
    }
  }
  target[keys[keys.length - 1]] = value;
}

function remove(record: JsonObject, keys: readonly string[]): void {
  const parent = read(record, keys.slice(0, -1));
  const key = keys[keys.length - 1];
  if (typeof parent === 'object' && parent !== null && Object.hasOwn(parent, key)) {
    // JSON.stringify leaves undefined members out; `delete` would make it several times slower on the whole record.
    (parent as { [key: string]: Json | undefined })[key] = undefined;
  }
}

/** Objects of the mapping or the request are shared by all records: a later step must not change them. */
function structured(value: Json): Json {
  return typeof value === 'object' && value !== null ? structuredClone(value) : value;
}
