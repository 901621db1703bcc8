/** What every command of the bin shares. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface Command {
  /** One line for the list of commands. */
  readonly summary: string;
  readonly usage: string;
  /** @returns the exit code */
  run(args: string[]): Promise<number>;
}

/** An error of whoever typed the command: its message says what to change, and a stack would only hide it. */
export class UsageError extends Error {}

export function integer(
  flag: string,
  text: string | undefined,
  fallback: number,
  min: number,
  max: number,
): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max) {
    throw new UsageError(`${flag} must be an integer from ${min} to ${max}, got "${text}"`);
  }
  return value;
}

/** @param text `500ms`, `30s` or `2m` */
export function milliseconds(flag: string, text: string): number {
  const [, value, unit] = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text) ?? [];
  if (value === undefined) {
    throw new UsageError(`${flag} must be a duration such as 500ms, 30s or 2m, got "${text}"`);
  }
  return Number(value) * { ms: 1, s: 1000, m: 60_000 }[unit]!;
}

export function checkedNode(program: string): string {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return program;
  } catch (error) {
    throw new UsageError(`--node ${program} does not run: ${(error as Error).message}`);
  }
}

/** The JSON text of an event; `-` reads stdin. */
export function readEvent(file: string): string {
  let text: string;
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw new UsageError(`The event cannot be read: ${(error as Error).message}`);
  }
  try {
    JSON.parse(text);
  } catch (error) {
    throw new UsageError(`The event ${file} is not JSON: ${(error as Error).message}`);
  }
  return text;
}

/** Environment overrides, from JSON like `{"<function>": {"NAME": "value"}}`. */
export function readEnvironment(file: string): Record<string, Record<string, string>> {
  const shape = '{"<function>": {"NAME": "value"}}';
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new UsageError(
      `--env-file ${file} cannot be read as JSON like ${shape}: ${(error as Error).message}`,
    );
  }
  const isRecord = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isRecord(parsed) || !Object.values(parsed).every(isRecord)) {
    throw new UsageError(`--env-file ${file} must look like ${shape}`);
  }
  return Object.fromEntries(
    Object.entries(parsed as Record<string, Record<string, unknown>>).map(([name, variables]) => [
      name,
      Object.fromEntries(Object.entries(variables).map(([key, value]) => [key, String(value)])),
    ]),
  );
}

/** Notices that say the same about several resources, as one line. */
export function grouped(notices: readonly string[]): string[] {
  const names = new Map<string, string[]>();
  for (const notice of notices) {
    const [, name, text] = /^([\w-]+): (.*)$/s.exec(notice) ?? [];
    const key = text ?? notice;
    names.set(key, [...(names.get(key) ?? []), ...(name === undefined ? [] : [name])]);
  }
  return [...names].map(([text, of]) => (of.length > 0 ? `${of.join(', ')}: ${text}` : text));
}
