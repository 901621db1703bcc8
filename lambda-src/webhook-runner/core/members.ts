import { type JsonScanner, SPAN } from './json-scan';
import type { Key, KeyIndex } from './key-index';

/** Why a record cannot be mapped. */
export class MappingError extends Error {
  public override readonly name = 'MappingError';
}

/** Bytes of a value that is not in the record, or an object or array that was opened. */
type Own = Buffer | Members;

const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const QUOTE = 0x22;
const COLON = 0x3a;
/** Below this many bytes a loop is faster than a call of `copy`. */
const SHORT = 48;

/** What is known of a member: it stands as it came, it goes, or `prefixes` or `own` have something of it. */
const AS_IT_IS = 0;
const DEAD = 1;
const EDITED = 2;

/**
 * The members of one object (or elements of one array) of a record: which of them go, and what they are called. A step of a mapping
 * edits this list; nothing of the record is parsed or written before `write`, which copies runs of untouched members as they are.
 */
export class Members {
  /** The elements of an array, by the same list: an element has no key. */
  public static ofArray(value: Buffer, elements: readonly [number, number][]): Members {
    const members = new Members(value, undefined, true);
    members.lineLength = value.length;
    members.grow(elements.length);
    members.size = elements.length;
    elements.forEach(([from, to], i) => {
      members.spans[i * SPAN.size + SPAN.valueFrom] = from;
      members.spans[i * SPAN.size + SPAN.valueTo] = to;
    });
    return members;
  }

  public size = 0;
  private spans = new Int32Array(16 * SPAN.size);
  private prefixes: (Buffer | undefined)[] = [];
  private keys: (Key | undefined)[] = [];
  private own: (Own | undefined)[] = [];
  private states = new Uint8Array(16);
  /** Those that are or were not as they came. */
  private touched: number[] = [];
  private escapedKeys = false;
  private lineLength = 0;
  /** `index` knows where every key is. */
  private indexed = false;

  public constructor(
    private line: Buffer,
    private readonly index?: KeyIndex,
    public readonly isArray = false,
  ) {}

  /** Takes over what the scanner found in a line of that length, anywhere in the bytes. */
  public load(line: Buffer, scanner: JsonScanner, length: number): void {
    this.line = line;
    this.lineLength = length;
    this.size = scanner.members;
    [this.spans, scanner.spans] = [scanner.spans, this.spans]; // its next line overwrites what is in there
    this.grow(this.size);
    this.escapedKeys = scanner.escapedKeys;
    this.forget();
    this.indexed =
      this.index !== undefined && !this.escapedKeys && this.index.look(line, this.spans, this.size);
  }

  /** All members are as they came. */
  private forget(): void {
    for (const i of this.touched) {
      this.states[i] = AS_IT_IS;
      this.keys[i] = this.prefixes[i] = this.own[i] = undefined;
    }
    this.touched.length = 0;
  }

  /** Where the member with that key is, or -1. Of several, the last counts and the others go. */
  public find(key: Key): number {
    if (this.indexed) {
      const index = this.index!.found[key.id];
      return index >= 0 && this.states[index] !== DEAD ? index : -1;
    }
    let found = -1;
    for (let i = this.size - 1; i >= 0; i -= 1) {
      if (this.states[i] !== DEAD && this.isCalled(i, key)) {
        if (found >= 0) {
          this.mark(i, DEAD);
        } else {
          found = i;
          if (this.isArray) {
            break;
          }
        }
      }
    }
    return found;
  }

  public remove(index: number): void {
    if (this.isArray) {
      this.own[index] = NULL; // as JavaScript has it: the others keep their places
      this.mark(index, EDITED);
    } else {
      this.mark(index, DEAD);
    }
  }

  private mark(index: number, state: number): void {
    this.states[index] = state;
    this.touched.push(index);
  }

  public isNull(index: number): boolean {
    const own = this.own[index];
    if (own !== undefined) {
      return !(own instanceof Members) && own.length === 4 && own[0] === 0x6e;
    }
    const from = this.valueFrom(index);
    return this.valueTo(index) - from === 4 && this.line[from] === 0x6e;
  }

  /** The value as bytes of its own. */
  public value(index: number): Buffer {
    const own = this.own[index];
    if (own instanceof Members) {
      return own.toBuffer();
    }
    return own ?? this.line.subarray(this.valueFrom(index), this.valueTo(index));
  }

  /** Sets a value in its place, or behind all others. */
  public set(key: Key, value: Own): void {
    let index = this.find(key);
    if (index < 0) {
      if (this.isArray) {
        throw new MappingError(`the array has no element "${key.text}"`);
      }
      this.grow(this.size + 1);
      index = this.size++;
      this.call(index, key);
    }
    this.own[index] = value;
    this.mark(index, EDITED);
  }

  /** Gives a member another name where it stands. */
  public rename(index: number, key: Key): void {
    const other = this.find(key);
    if (other >= 0 && other !== index) {
      this.mark(other, DEAD);
    }
    this.call(index, key);
    this.mark(index, EDITED);
  }

  private call(index: number, key: Key): void {
    this.keys[index] = key;
    this.prefixes[index] = key.prefix;
    if (this.indexed) {
      this.index!.moved(index, key);
    }
  }

  /** The object or array that a member is, to be edited; undefined where it is neither. */
  public child(index: number, scanner: JsonScanner): Members | undefined {
    const own = this.own[index];
    if (own instanceof Members) {
      return own;
    }
    const child = parse(this.value(index), scanner);
    if (child) {
      this.own[index] = child;
      this.mark(index, EDITED);
    }
    return child;
  }

  /** Moves all members into a new object. */
  public take(): Members {
    const moved = new Members(this.line);
    moved.lineLength = this.lineLength;
    [moved.size, moved.spans, moved.states, moved.touched] = [
      this.size,
      this.spans,
      this.states,
      this.touched,
    ];
    moved.escapedKeys = this.escapedKeys;
    [moved.keys, moved.prefixes, moved.own] = [this.keys, this.prefixes, this.own];
    [this.spans, this.states] = [new Int32Array(16 * SPAN.size), new Uint8Array(16)];
    [this.keys, this.prefixes, this.own, this.touched] = [[], [], [], []];
    this.size = 0;
    this.escapedKeys = this.indexed = false;
    return moved;
  }

  /** Keeps only those that are listed, in the order of the record. */
  public keep(indexes: readonly number[]): void {
    for (let i = 0; i < this.size; i += 1) {
      if (!indexes.includes(i)) {
        this.mark(i, DEAD);
      }
    }
  }

  /** The most bytes that `write` takes. */
  public length(): number {
    let length = this.lineLength + 2;
    for (const i of this.touched) {
      const own = this.own[i];
      length += (this.prefixes[i]?.length ?? 0) + 2;
      length += own === undefined ? 0 : own instanceof Members ? own.length() : own.length;
    }
    return length;
  }

  /** Writes the JSON text, and returns the position behind it. There must be room for `length()`. */
  public write(target: Buffer, start: number): number {
    const { line, size, states, own, prefixes, spans } = this;
    let at = start;
    target[at++] = this.isArray ? 0x5b : 0x7b;
    const first = at;
    for (let i = 0; i < size; i += 1) {
      if (states[i] === DEAD) {
        continue;
      }
      if (at > first) {
        target[at++] = COMMA;
      }
      if (states[i] === AS_IT_IS) {
        const from = this.isArray ? this.valueFrom(i) : spans[i * SPAN.size + SPAN.keyFrom] - 1;
        while (i + 1 < size && states[i + 1] === AS_IT_IS) {
          i += 1;
        }
        at = copy(line, from, this.valueTo(i), target, at);
        continue;
      }
      const value = own[i];
      if (!this.isArray) {
        const prefix = prefixes[i];
        if (prefix) {
          at = copy(prefix, 0, prefix.length, target, at);
        } else {
          const base = i * SPAN.size;
          target[at++] = QUOTE;
          at = copy(line, spans[base + SPAN.keyFrom], spans[base + SPAN.keyTo], target, at);
          target[at++] = QUOTE;
          target[at++] = COLON;
        }
      }
      if (value === undefined) {
        at = copy(line, this.valueFrom(i), this.valueTo(i), target, at);
      } else if (value instanceof Members) {
        at = value.write(target, at);
      } else {
        at = copy(value, 0, value.length, target, at);
      }
    }
    target[at++] = this.isArray ? 0x5d : 0x7d;
    return at;
  }

  private toBuffer(): Buffer {
    const target = Buffer.allocUnsafe(this.length());
    return target.subarray(0, this.write(target, 0));
  }

  private isCalled(index: number, key: Key): boolean {
    const other = this.keys[index];
    if (other !== undefined) {
      return other.text === key.text;
    }
    if (this.isArray) {
      return key.text === String(index);
    }
    const { line } = this;
    const from = this.spans[index * SPAN.size + SPAN.keyFrom];
    const to = this.spans[index * SPAN.size + SPAN.keyTo];
    const { bytes } = key;
    if (to - from === bytes.length) {
      let at = 0;
      while (at < bytes.length && line[from + at] === bytes[at]) {
        at += 1;
      }
      if (at === bytes.length) {
        return true;
      }
    }
    return (
      this.escapedKeys &&
      line.subarray(from, to).includes(BACKSLASH) &&
      JSON.parse(line.toString('utf8', from - 1, to + 1)) === key.text
    );
  }

  private valueFrom(index: number): number {
    return this.spans[index * SPAN.size + SPAN.valueFrom];
  }

  private valueTo(index: number): number {
    return this.spans[index * SPAN.size + SPAN.valueTo];
  }

  private grow(size: number): void {
    if (size > this.states.length) {
      const { states } = this;
      this.states = new Uint8Array(size * 2);
      this.states.set(states);
    }
    if (size * SPAN.size > this.spans.length) {
      const { spans } = this;
      this.spans = new Int32Array(size * 2 * SPAN.size);
      this.spans.set(spans);
    }
    while (this.own.length < size) {
      this.keys.push(undefined);
      this.prefixes.push(undefined);
      this.own.push(undefined);
    }
  }
}

export const NULL = Buffer.from('null');

/** The value is known to be JSON: this only looks for where its parts begin and end. */
function parse(value: Buffer, scanner: JsonScanner): Members | undefined {
  if (value[0] === 0x7b) {
    const line = Buffer.allocUnsafe(value.length + 1);
    value.copy(line);
    line[value.length] = 0x0a;
    if (!scanner.scan(line, 0, value.length, true)) {
      throw new MappingError('an object in the record could not be read');
    }
    const members = new Members(line);
    members.load(line, scanner, value.length);
    return members;
  }
  return value[0] === 0x5b ? Members.ofArray(value, elementsOf(value)) : undefined;
}

function elementsOf(value: Buffer): [number, number][] {
  const elements: [number, number][] = [];
  let depth = 0;
  let from = -1;
  let last = -1;
  for (let at = 0; at < value.length; at += 1) {
    const byte = value[at];
    if (depth === 1 && (byte === COMMA || (byte === 0x5d && from >= 0))) {
      elements.push([from, last + 1]);
      from = -1;
    }
    if (byte === 0x7b || byte === 0x5b) {
      depth += 1;
      if (depth === 1) {
        continue;
      }
    } else if (byte === 0x7d || byte === 0x5d) {
      depth -= 1;
    } else if (byte === COMMA && depth === 1) {
      continue;
    } else if (byte === 0x20 || byte === 0x09 || byte === 0x0d) {
      continue;
    }
    const begin = at;
    if (byte === QUOTE) {
      at += 1;
      while (value[at] !== QUOTE) {
        at += value[at] === BACKSLASH ? 2 : 1;
      }
    }
    if (from < 0) {
      from = begin;
    }
    last = at;
  }
  return elements;
}

function copy(source: Buffer, from: number, to: number, target: Buffer, start: number): number {
  if (to - from >= SHORT) {
    source.copy(target, start, from, to);
    return start + to - from;
  }
  let at = start;
  for (let i = from; i < to; i += 1) {
    target[at++] = source[i];
  }
  return at;
}
