import { SPAN } from './json-scan';

/** A key as a mapping names it: its text, and its bytes as JSON has them between the quotes. */
export interface Key {
  readonly text: string;
  readonly bytes: Buffer;
  /** `"key":` */
  readonly prefix: Buffer;
  /** Its place in the `KeyIndex` that it is in. */
  readonly id: number;
}

/** All keys that a mapping names, to find each of them in a record by one pass over its members. */
export class KeyIndex {
  /** Where each key's member is, by `id`; -1 where there is none. */
  public readonly found: number[] = [];
  private readonly keys: Key[] = [];
  /**
   * By a key's length in bytes, one more than the `id` of the first key of that length; others follow in
   * `next`.
   */
  private first = new Uint16Array(0);
  private readonly next: number[] = [];

  public key(text: string): Key {
    const known = this.keys.find(key => key.text === text);
    if (known) {
      return known;
    }
    const quoted = JSON.stringify(text);
    const bytes = Buffer.from(quoted.slice(1, -1));
    const key = { text, bytes, prefix: Buffer.from(`${quoted}:`), id: this.keys.length };
    this.keys.push(key);
    this.found.push(-1);
    if (bytes.length >= this.first.length) {
      const longer = new Uint16Array(bytes.length + 1);
      longer.set(this.first);
      this.first = longer;
    }
    this.next.push(this.first[bytes.length]);
    this.first[bytes.length] = key.id + 1;
    return key;
  }

  /** Returns whether no key is there twice. No key of the object may be written with a backslash. */
  public look(line: Uint8Array, spans: Int32Array, size: number): boolean {
    const { first, found, keys, next } = this;
    for (let id = 0; id < found.length; id += 1) {
      found[id] = -1;
    }
    for (let i = 0; i < size; i += 1) {
      const from = spans[i * SPAN.size + SPAN.keyFrom];
      const length = spans[i * SPAN.size + SPAN.keyTo] - from;
      for (let id = length < first.length ? first[length] - 1 : -1; id >= 0; id = next[id] - 1) {
        const { bytes } = keys[id];
        let at = 0;
        while (at < length && line[from + at] === bytes[at]) {
          at += 1;
        }
        if (at === length) {
          if (found[id] >= 0) {
            return false;
          }
          found[id] = i;
          break;
        }
      }
    }
    return true;
  }

  /** A member has this key now, and no other one. */
  public moved(index: number, key: Key): void {
    const before = this.found.indexOf(index);
    if (before >= 0) {
      this.found[before] = -1;
    }
    this.found[key.id] = index;
  }
}
