import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import * as path from 'node:path';
import { compileFunction } from 'node:vm';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { Duration } from 'aws-cdk-lib';
import { type RunningStack, startStack } from 'cdk-localhost/testing/stack';
import { clientFor } from 'cdk-localhost/testing/stand-ins';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CodeFormat, CodeVerb, UniqueCodeTable } from '../../src';
import { lambdaContext } from '../events';

/**
 * The bundle of the previous version and that of this one on one table, as while a deployment is rolled out
 * or back. The old one is the issuing handler of commit 6c76616, which `git archive` and esbuild made a file
 * of (`--external:@aws-sdk/*`, as in Lambda's runtime).
 */
const OLD = path.join(__dirname, 'fixtures', 'issue-of-the-version-before.js.txt');

type Body = Record<string, unknown>;

const format = CodeFormat.of({ length: 1 });
const SPACE = 36;
const ENVIRONMENT = {
  TABLE_NAME: 'Codes-Table',
  CODE_FORMAT: JSON.stringify(format._format),
  IDEMPOTENCY_WINDOW_SECONDS: '86400',
  TIME_TO_LIVE_SECONDS: '86400',
  AWS_REGION: 'us-east-1',
  AWS_ACCESS_KEY_ID: 'developer',
  AWS_SECRET_ACCESS_KEY: 'local',
};

let running: RunningStack;
let lambda: LambdaClient;
let saved: NodeJS.ProcessEnv;
let old: (input: Body) => Promise<Body>;

beforeAll(async () => {
  running = await startStack(
    stack =>
      void new UniqueCodeTable(stack, 'Codes', {
        format,
        timeToLive: Duration.days(1),
        verbs: [CodeVerb.VALIDATE, CodeVerb.REDEEM, CodeVerb.REVOKE],
      }),
  );
  lambda = new LambdaClient(clientFor(running, 'lambda'));
  saved = { ...process.env };
  Object.assign(process.env, ENVIRONMENT, {
    AWS_ENDPOINT_URL_DYNAMODB: running.system.endpoints.dynamodb,
  });
  const module = { exports: {} as { issue: (event: unknown, context: unknown) => Promise<Body> } };
  const load = compileFunction(readFileSync(OLD, 'utf8'), ['require', 'module', 'exports', 'process']);
  const silent = Object.create(process, { stdout: { value: { write: () => true } } }) as NodeJS.Process;
  load(createRequire(__filename), module, module.exports, silent);
  old = input => module.exports.issue(input, lambdaContext);
});
afterAll(async () => {
  // In place: what has been loaded meanwhile may hold on to the object itself.
  for (const name of Object.keys(process.env)) if (!(name in saved)) delete process.env[name];
  Object.assign(process.env, saved);
  lambda.destroy();
  await running.stop();
});

async function current(verb: string, input: Body): Promise<Body> {
  const { Payload } = await lambda.send(
    new InvokeCommand({ FunctionName: `Codes-${verb}Handler`, Payload: JSON.stringify(input) }),
  );
  return JSON.parse(Buffer.from(Payload!).toString()) as Body;
}

describe('both at one table', () => {
  test('never hand out a code twice, whatever has become of it, and know requests of one another', async () => {
    const ofOld = await old({ idempotencyKey: 'before', reference: 'order 1' });
    expect(await current('Issue', { idempotencyKey: 'before', reference: 'order 1' })).toMatchObject(ofOld);
    expect(await current('Issue', { idempotencyKey: 'before', reference: 'order 2' })).toMatchObject({
      errorType: 'IdempotencyKeyReused',
    });
    expect(await current('Validate', ofOld)).toMatchObject({ valid: true, state: 'ACTIVE' });
    expect(await current('Redeem', ofOld)).toMatchObject({ redemptionsLeft: 0 });

    const { codes: ofCurrent } = (await current('Issue', { count: 20, idempotencyKey: 'after' })) as {
      codes: string[];
    };
    await current('Redeem', { code: ofCurrent[0] });
    await current('Revoke', { code: ofCurrent[1] });
    // A rollback: what the old one does not know it refuses, and gives nobody another code for it.
    await expect(old({ count: 20, idempotencyKey: 'after' })).rejects.toMatchObject({
      name: 'IdempotencyKeyReused',
    });

    const taken = new Set<unknown>([ofOld.code, ...ofCurrent]);
    expect(taken.size).toBe(21);
    while (taken.size < SPACE) {
      // It gives up after five draws, near the end nearly always.
      const found = await old({}).catch((error: Error) => error);
      if (found instanceof Error) {
        expect(found.name).toBe('CodeSpaceExhausted');
        continue;
      }
      expect(taken).not.toContain(found.code);
      taken.add(found.code);
    }
    expect(await current('Issue', {})).toMatchObject({ errorType: 'CodeSpaceExhausted' });
    expect(await current('Validate', { code: ofCurrent[1] })).toMatchObject({ state: 'REVOKED' });
  });
});
