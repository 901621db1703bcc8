import { JsonScanner } from './json-scan';
import { type Key, KeyIndex } from './key-index';
import { MappingError, Members } from './members';
import type { Json, JsonObject, MappingRequest, MappingStep } from '../../../src/webhook-runner/contract';

/** Edits the members of one record; a step keeps nothing between records. */
type Edit = (record: Members, scanner: JsonScanner) => void;

/**
 * A declarative mapping that works on the record's bytes: what no step touches leaves with the very bytes it came with, whatever a
 * number in it would have become in JavaScript.
 */
export class ByteMapping {
  private readonly edits: readonly Edit[];
  private readonly inner = new JsonScanner();
  private readonly record: Members;

  /** Throws a `MappingError` for steps that make no sense. */
  public constructor(steps: readonly MappingStep[], request: MappingRequest) {
    const index = new KeyIndex();
    const path = (field: string) => keysOf(field).map(text => index.key(text));
    this.edits = steps.map(step => compileStep(step, request, path));
    this.record = new Members(Buffer.alloc(0), index);
  }

  /** Takes the line of that length that the scanner has just found to be an object, with its spans. */
  public map(bytes: Buffer, length: number, scanner: JsonScanner): Members {
    const { record } = this;
    record.load(bytes, scanner, length);
    for (const edit of this.edits) {
      edit(record, this.inner);
    }
    return record;
  }
}

function compileStep(
  step: MappingStep,
  request: MappingRequest,
  path: (field: string) => readonly Key[],
): Edit {
  switch (step.op) {
    case 'pick':
      return pick(step.fields.map(path));
    case 'remove': {
      const paths = step.fields.map(path);
      return (record, scanner) => paths.forEach(keys => remove(record, keys, scanner));
    }
    case 'rename': {
      const [from, to] = [path(step.from), path(step.to)];
      return (record, scanner) => rename(record, from, to, scanner);
    }
    case 'copy': {
      const [from, to] = [path(step.from), path(step.to)];
      return (record, scanner) => {
        const value = read(record, from, scanner);
        if (value !== undefined) {
          write(record, to, value, scanner);
        }
      };
    }
    case 'set': {
      const [field, value] = [path(step.field), bytesOf(step.value)];
      return (record, scanner) => write(record, field, value, scanner);
    }
    case 'default': {
      const [field, value] = [path(step.field), bytesOf(step.value)];
      return (record, scanner) => {
        const parent = parentOf(record, field, scanner);
        const index = parent?.find(last(field)) ?? -1;
        if (parent === undefined || index < 0 || parent.isNull(index)) {
          write(record, field, value, scanner);
        }
      };
    }
    case 'fromRequest': {
      const field = path(step.field);
      const value = memberOf(request, keysOf(step.member));
      return value === undefined
        ? () => undefined
        : (record, scanner) => write(record, field, value, scanner);
    }
    case 'nest': {
      const field = path(step.field);
      return (record, scanner) => write(record, field, record.take(), scanner);
    }
    default:
      throw new MappingError(
        '`op` of a mapping step must be pick, remove, rename, copy, set, default, fromRequest or nest, got ' +
          JSON.stringify((step as { op?: unknown }).op),
      );
  }
}

/** Top-level members keep their places; below them, only what is picked stays. */
function pick(paths: readonly (readonly Key[])[]): Edit {
  const whole = paths.filter(keys => keys.length === 1).map(([key]) => key);
  const below = new Map<string, { readonly key: Key; readonly rest: (readonly Key[])[] }>();
  for (const [key, ...rest] of paths.filter(keys => keys.length > 1)) {
    if (!whole.some(({ text }) => text === key.text)) {
      const entry = below.get(key.text) ?? { key, rest: [] };
      entry.rest.push(rest);
      below.set(key.text, entry);
    }
  }
  const inner = [...below.values()].map(({ key, rest }) => ({ key, edit: pick(rest), rest }));
  return (record, scanner) => {
    const kept = whole.map(key => record.find(key)).filter(index => index >= 0);
    for (const { key, edit, rest } of inner) {
      const index = record.find(key);
      const child = index < 0 ? undefined : record.child(index, scanner);
      if (
        child === undefined ||
        !rest.some(keys => (parentOf(child, keys, scanner)?.find(last(keys)) ?? -1) >= 0)
      ) {
        continue;
      }
      if (child.isArray) {
        throw new MappingError('elements of an array cannot be picked');
      }
      edit(child, scanner);
      kept.push(index);
    }
    record.keep(kept);
  };
}

/** The object that holds the last key of a path, or would. */
function parentOf(record: Members, keys: readonly Key[], scanner: JsonScanner): Members | undefined {
  let parent = record;
  for (let i = 0; i < keys.length - 1; i += 1) {
    const index = parent.find(keys[i]);
    const child = index < 0 ? undefined : parent.child(index, scanner);
    if (child === undefined) {
      return undefined;
    }
    parent = child;
  }
  return parent;
}

function last(keys: readonly Key[]): Key {
  return keys[keys.length - 1];
}

function read(record: Members, keys: readonly Key[], scanner: JsonScanner): Buffer | undefined {
  const parent = parentOf(record, keys, scanner);
  const index = parent?.find(last(keys)) ?? -1;
  return index >= 0 ? parent!.value(index) : undefined;
}

function remove(record: Members, keys: readonly Key[], scanner: JsonScanner): void {
  const parent = parentOf(record, keys, scanner);
  const index = parent?.find(last(keys)) ?? -1;
  if (index >= 0) {
    parent!.remove(index);
  }
}

function rename(record: Members, from: readonly Key[], to: readonly Key[], scanner: JsonScanner): void {
  if (from.length === 1 && to.length === 1) {
    const index = record.find(from[0]);
    if (index >= 0) {
      record.rename(index, to[0]);
    }
    return;
  }
  const parent = parentOf(record, from, scanner);
  const index = parent?.find(last(from)) ?? -1;
  if (parent === undefined || index < 0) {
    return;
  }
  const value = parent.value(index);
  parent.remove(index);
  write(record, to, value, scanner);
}

/** Makes the objects on the way where there are none. */
function write(record: Members, keys: readonly Key[], value: Buffer | Members, scanner: JsonScanner): void {
  let target = record;
  for (let i = 0; i < keys.length - 1; i += 1) {
    const index = target.find(keys[i]);
    let next = index < 0 ? undefined : target.child(index, scanner);
    if (next === undefined) {
      next = new Members(Buffer.alloc(0));
      target.set(keys[i], next);
    }
    target = next;
  }
  target.set(keys[keys.length - 1], value);
}

function memberOf(request: MappingRequest, keys: readonly string[]): Buffer | undefined {
  const [text] = keys;
  if (['access_token', 'data_url', 'callback_url'].includes(text)) {
    throw new MappingError(
      `a mapping cannot read \`${text}\` of the request: it must not leave with the records`,
    );
  }
  let value: Json | undefined = request as JsonObject;
  for (const key of keys) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) {
      return undefined;
    }
    value = (value as JsonObject)[key];
  }
  return value === undefined ? undefined : bytesOf(value);
}

function bytesOf(value: Json): Buffer {
  return Buffer.from(JSON.stringify(value));
}

/** A plain name is one top-level key; with a leading slash it is a JSON Pointer. */
function keysOf(field: string): readonly string[] {
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
