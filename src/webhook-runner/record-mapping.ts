import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import * as path from 'node:path';
import type { Json, MappingStep } from './contract';
import { TO_BUNDLE } from './mapping-module';
import { InvalidPropError } from '../shared/validate';
import { validateTypes } from '../shared/validate-types';

const URL_MEMBERS = ['access_token', 'data_url', 'callback_url'];

/**
 * What is done to each record before it is sent. Steps are applied in the order in which they are written.
 *
 *     RecordMapping.all().pick('id', 'email').rename('email', 'user_email').set('source', 'crm')
 *
 * A field is a top-level key, or a JSON Pointer such as `/properties/audience`.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6901
 */
export class RecordMapping {
  /** The whole record: the beginning of every mapping made of steps. */
  public static all(): RecordMapping {
    return new RecordMapping([]);
  }

  /**
   * Your own code: a file that exports `(record, request) => record`, shipped beside the block's own. It has
   * no packages except those of Node.js: bundle what it needs. The block's page has a template, and a recipe
   * for TypeScript.
   *
   * It is loaded at synth as the function will load it: alone, in a process of its own. A file that cannot
   * be loaded, or exports no function or an asynchronous one, is an error that names file and line.
   *
   * @param file a path to a `.js`, `.cjs` or `.mjs` file, from the working directory or absolute; the
   * nearest package.json says what `.js` is
   */
  public static module(file: string): RecordMapping {
    validateTypes(undefined, 'RecordMapping.module', { file });
    const absolute = path.resolve(file);
    if (!/\.[cm]?js$/.test(absolute)) {
      throw new InvalidPropError(
        undefined,
        `The mapping module must be a .js, .cjs or .mjs file, got "${file}": bundle it first, for example with \`${TO_BUNDLE}\``,
      );
    }
    if (!existsSync(absolute)) {
      throw new InvalidPropError(
        undefined,
        `The mapping module "${file}" does not exist (looked for ${absolute})`,
      );
    }
    return new RecordMapping([], absolute);
  }

  private constructor(
    /** @internal */
    public readonly _steps: readonly MappingStep[],
    /** @internal */
    public readonly _file?: string,
  ) {}

  /**
   * Keeps these fields and no others.
   *
   * @param fields keys or JSON Pointers
   */
  public pick(...fields: string[]): RecordMapping {
    return this.with({ op: 'pick', fields }, ...fields);
  }

  /**
   * Leaves fields out.
   *
   * @param fields keys or JSON Pointers
   */
  public remove(...fields: string[]): RecordMapping {
    return this.with({ op: 'remove', fields }, ...fields);
  }

  /**
   * Gives a field another name or place. Does nothing where there is none.
   *
   * @param from key or JSON Pointer
   * @param to key or JSON Pointer
   */
  public rename(from: string, to: string): RecordMapping {
    return this.with({ op: 'rename', from, to }, from, to);
  }

  /**
   * Writes a field's value to a second place.
   *
   * @param from key or JSON Pointer
   * @param to key or JSON Pointer
   */
  public copy(from: string, to: string): RecordMapping {
    return this.with({ op: 'copy', from, to }, from, to);
  }

  /**
   * Sets a constant.
   *
   * @param field key or JSON Pointer
   * @param value any JSON value
   */
  public set(field: string, value: any): RecordMapping {
    return this.with({ op: 'set', field, value: jsonOf(field, value) }, field);
  }

  /**
   * Sets a constant where the field is missing or null.
   *
   * @param field key or JSON Pointer
   * @param value any JSON value
   */
  public defaultTo(field: string, value: any): RecordMapping {
    return this.with({ op: 'default', field, value: jsonOf(field, value) }, field);
  }

  /**
   * Sets a value of the request that started the run, for instance `label_name` or `/settings/audience`.
   * Never the credentials.
   *
   * @param field key or JSON Pointer in the record
   * @param member key or JSON Pointer in the request
   */
  public fromRequest(field: string, member: string): RecordMapping {
    if (URL_MEMBERS.includes(member.replace(/^\//, '').split('/')[0])) {
      throw new InvalidPropError(
        undefined,
        `A mapping cannot read \`${member}\` of the request: it must not leave with the records`,
      );
    }
    return this.with({ op: 'fromRequest', field, member }, field, member);
  }

  /**
   * Moves the whole record so far below one key.
   *
   * @param field key or JSON Pointer
   */
  public nest(field: string): RecordMapping {
    return this.with({ op: 'nest', field }, field);
  }

  private with(step: MappingStep, ...fields: string[]): RecordMapping {
    if (this._file !== undefined) {
      throw new InvalidPropError(
        undefined,
        'A mapping made by a module has no further steps: write them into the module',
      );
    }
    for (const field of fields) {
      if (field === '' || field === '/' || field.split('/').includes('__proto__')) {
        throw new InvalidPropError(
          undefined,
          `A field of a mapping must be a key or a JSON Pointer such as "/properties/audience", got ${JSON.stringify(field)}`,
        );
      }
    }
    return new RecordMapping([...this._steps, step]);
  }
}

/** The name of the folder that holds a module and the handler, derived from its contents. */
export function contentHash(...contents: readonly Buffer[]): string {
  const hash = createHash('sha256');
  for (const content of contents) hash.update(`${content.length}\0`).update(content);
  return hash.digest('hex').slice(0, 16);
}

function jsonOf(field: string, value: unknown): Json {
  const text = JSON.stringify(value);
  if (text === undefined) {
    throw new InvalidPropError(
      undefined,
      `The value of \`${field}\` must be a JSON value, got ${typeof value}`,
    );
  }
  return JSON.parse(text) as Json;
}
