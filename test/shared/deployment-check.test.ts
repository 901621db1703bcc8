import { describe, expect, test } from 'vitest';
import { createHandler, type Ports } from '../../lambda-src/deployment-check/handler';
import { createLog } from '../../lambda-src/shared/log';

const EVENT = { DeploymentId: 'd-1', LifecycleEventHookExecutionId: 'e-1' };
const named = (name: string) => Object.assign(new Error('no'), { name });

async function check(answers: (Error | { payload: string; functionError?: string })[], seconds = 180) {
  const lines: string[] = [];
  const reports: string[] = [];
  const events: string[] = [];
  let left = seconds * 1000;
  const ports: Ports = {
    invoke: async event => {
      events.push(event);
      const answer = answers.shift()!;
      if (answer instanceof Error) throw answer;
      return answer;
    },
    report: async ({ DeploymentId, LifecycleEventHookExecutionId }, status) => {
      reports.push(`${DeploymentId} ${LifecycleEventHookExecutionId} ${status}`);
    },
    probe: { event: { a: 1 }, statusCodes: [200, 404] },
    log: createLog('INFO', line => lines.push(line)),
    wait: async ms => {
      left -= ms;
    },
  };
  await createHandler(ports)(EVENT, { getRemainingTimeInMillis: () => left });
  expect(new Set(events)).toEqual(new Set(['{"a":1}']));
  return { reports, lines: lines.join(''), tries: events.length };
}

const answer = (statusCode: unknown) => ({ payload: JSON.stringify({ statusCode }) });

test.each([200, 404])('a version that answers %d gets traffic', async statusCode => {
  expect((await check([answer(statusCode)])).reports).toEqual(['d-1 e-1 Succeeded']);
});

describe('a version gets none that', () => {
  test.each([
    ['answers otherwise', answer(500), 'it answers 500, not 200 or 404'],
    ['answers no HTTP', { payload: 'null' }, 'it answers without a status code'],
    ['answers no JSON', { payload: '<' }, 'it answers without a status code'],
    ['throws', { payload: '{"errorType":"E"}', functionError: 'Unhandled' }, 'it fails: {'],
    [
      'is not there',
      named('ResourceNotFoundException'),
      'it cannot be invoked: ResourceNotFoundException: no',
    ],
  ])('%s', async (_, given, why) => {
    const { reports, lines, tries } = await check([given]);
    expect(reports).toEqual(['d-1 e-1 Failed']);
    expect((JSON.parse(lines) as { problem: string }).problem).toContain(why);
    expect(tries).toBe(1);
  });
});

test('a grant that does not hold yet is waited for, as long as there is time to report', async () => {
  const denied = () => named('AccessDeniedException');
  expect(await check([denied(), denied(), answer(200)])).toMatchObject({
    reports: ['d-1 e-1 Succeeded'],
    tries: 3,
  });
  const patience = await check(Array.from({ length: 100 }, denied));
  expect(patience).toMatchObject({ reports: ['d-1 e-1 Failed'], tries: 33 });
});

test('a report that does not arrive is an error: CodeDeploy would wait for it', async () => {
  const ports: Ports = {
    invoke: async () => answer(200),
    report: async () => Promise.reject(new Error('lost')),
    probe: { event: {}, statusCodes: [200] },
    log: createLog('INFO', () => undefined),
  };
  await expect(createHandler(ports)(EVENT, { getRemainingTimeInMillis: () => 1e6 })).rejects.toThrow('lost');
});
