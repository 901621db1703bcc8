import { Lambda } from 'cdk-localhost/lambda';
import type { System } from 'cdk-localhost/system';
import { expect } from 'vitest';
import { USED } from './used-grants';

/**
 * What AWS itself does with a function's role: the wire never shows it, so each of these needs a reason
 * instead.
 */
const MADE_BY_AWS = /^(logs:(CreateLogStream|PutLogEvents)|xray:.*)$/;

/**
 * Fails where the synthesized role of a function allows an action that the function never called, and where
 * it called others than test/integration/used-grants.ts says, from which docs/permissions.md has what was
 * seen.
 *
 * @param role as docs/permissions.md calls it, `Block/Role`
 * @param by the test file, and what is special about the function
 */
export function expectAllUsed(system: System, functionName: string, role: string, by: string): void {
  const used = usedActions(system, functionName);
  expect([...grantedActions(system, functionName)].filter(action => !used.has(action))).toEqual([]);
  expect([...used].sort(), `${role} by ${by}`).toEqual(USED[role]?.[by]);
}

/** Actions that the role allows and the function never called. */
export function unusedGrants(system: System, functionName: string): string[] {
  const used = usedActions(system, functionName);
  return [...grantedActions(system, functionName)].filter(action => !used.has(action));
}

/** Calls of a function that its role did not allow. */
export function deniedCalls(system: System, functionName: string): string[] {
  return system.iam.calls
    .filter(({ caller, allowed }) => caller === functionName && !allowed)
    .map(({ action }) => action);
}

function grantedActions(system: System, functionName: string): Set<string> {
  const config = system.service(Lambda).find(functionName);
  if (!config) throw new Error(`There is no function ${functionName}`);
  const statements = system.iam
    .policiesOf(config.roleArn)
    .flatMap(({ Statement }) => Statement as unknown as { Action: string | string[] }[]);
  return new Set(statements.flatMap(({ Action }) => Action).filter(action => !MADE_BY_AWS.test(action)));
}

function usedActions(system: System, functionName: string): Set<string> {
  return new Set(
    [...system.iam.calls, ...system.iam.callsByAws]
      .filter(({ caller, allowed }) => caller === functionName && allowed !== false)
      .map(({ action }) => action),
  );
}
