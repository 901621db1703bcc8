/** What is requested: vegeta's text form, or the API of a birthday app by default. */
import { readFileSync } from 'node:fs';
import * as path from 'node:path';
import { UsageError } from '../cli/command';

export interface Target {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

const REQUEST = /^([A-Z]+) (\S+)$/;

/**
 * @param text `PUT /hello/nando`, then header lines and `@file` for a body; a blank line between targets, `#`
 * begins a comment
 * @param base what paths are relative to
 * @param folder what files are relative to
 */
export function parseTargets(text: string, base: string, folder: string): Target[] {
  const targets: { method: string; url: string; headers: Record<string, string>; body?: Buffer }[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const [, method, where] = REQUEST.exec(line) ?? [];
    if (method !== undefined) {
      targets.push({ method, url: resolve(where, base, index), headers: {} });
      continue;
    }
    const target = targets.at(-1);
    if (!target) throw bad(index, `a target must come first, such as "GET /", got "${line}"`);
    if (line.startsWith('@')) {
      try {
        target.body = readFileSync(path.resolve(folder, line.slice(1)));
      } catch (error) {
        throw bad(index, `the body cannot be read: ${(error as Error).message}`);
      }
      continue;
    }
    const [, name, value] = /^([\w-]+):\s*(.*)$/.exec(line) ?? [];
    if (name === undefined) throw bad(index, `neither a target, nor a header, nor @file: "${line}"`);
    target.headers[name.toLowerCase()] = value;
  }
  if (targets.length === 0) throw new UsageError('The targets file holds no target, such as "GET /"');
  return targets;
}

/** PUT and GET of one user by turns, as the birthday API takes them. */
export function birthdayTargets(base: string): Target[] {
  const url = resolve('/hello/nando', base, 0);
  return [
    {
      method: 'PUT',
      url,
      headers: { 'content-type': 'application/json' },
      body: Buffer.from('{"dateOfBirth":"1978-06-18"}'),
    },
    { method: 'GET', url, headers: {} },
  ];
}

function resolve(where: string, base: string, index: number): string {
  try {
    const url = where.startsWith('/') ? new URL(base.replace(/\/$/, '') + where) : new URL(where);
    if (url.protocol === 'http:' || url.protocol === 'https:') return url.href;
  } catch {
    // said below
  }
  throw bad(index, `"${where}" is neither a path nor an http(s) address`);
}

function bad(index: number, what: string): UsageError {
  return new UsageError(`The targets file, line ${index + 1}: ${what}`);
}
