import { Lambda } from 'cdk-localhost/lambda';
import type { System } from 'cdk-localhost/system';

/** What AWS itself does with a function's role: the wire never shows it, so each of these needs a reason instead. */
const MADE_BY_AWS = /^(logs:(CreateLogStream|PutLogEvents)|xray:.*)$/;

/** Actions that the synthesized role of a function allows and that the function never called. */
export function unusedGrants(system: System, functionName: string): string[] {
  const config = system.service(Lambda).find(functionName);
  if (!config) throw new Error(`There is no function ${functionName}`);
  const statements = system.iam
    .policiesOf(config.roleArn)
    .flatMap(({ Statement }) => Statement as unknown as { Action: string | string[] }[]);
  const granted = new Set(statements.flatMap(({ Action }) => Action));
  const used = new Set(
    [...system.iam.calls, ...system.iam.callsByAws]
      .filter(({ caller }) => caller === functionName)
      .map(({ action }) => action),
  );
  return [...granted].filter(action => !used.has(action) && !MADE_BY_AWS.test(action));
}

/** Calls of a function that its role did not allow. */
export function deniedCalls(system: System, functionName: string): string[] {
  return system.iam.calls
    .filter(({ caller, allowed }) => caller === functionName && !allowed)
    .map(({ action }) => action);
}
