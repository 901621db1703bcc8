/** A line or record of a function's log, as an extension gets it on Lambda. */
import * as path from 'node:path';
import type { FunctionConfig } from '../function-config';

/**
 * The paths become those that code and runtime have on Lambda, so that an extension can tell them apart. In
 * the JSON log format a record is an object, where the line is one.
 *
 * @param command the program and arguments of the runtime
 */
export function logRecord(
  text: string,
  { codePath, jsonLogs }: FunctionConfig,
  [, ...args]: readonly string[],
): unknown {
  const runtime = args.find(argument => path.isAbsolute(argument));
  const inTask = text.replaceAll(codePath, '/var/task');
  const told = runtime ? inTask.replaceAll(runtime, `/var/runtime/${path.basename(runtime)}`) : inTask;
  return (jsonLogs && asObject(told)) || `${told}\n`;
}

function asObject(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined; // a line of plain text
  }
}
