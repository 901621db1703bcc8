import { rmSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { CfnOutput, Stack } from 'aws-cdk-lib';
import { SecretsManager } from 'cdk-localhost/secrets-manager';
import { System } from 'cdk-localhost/system';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { deniedCalls } from './permissions';
import { synthesize } from '../../demo/example/synth';
import { type ReceivedStatus, WebhookHost } from '../../demo/hosts/webhook/webhook-host';
import { endOfRun, startRun } from '../../demo/tour/webhook-tour';
import { addCustomerProfiles } from '../../examples/webhook-runner/customer-profiles';
import { addDataverse } from '../../examples/webhook-runner/dataverse';
import { addEndUserMessaging } from '../../examples/webhook-runner/end-user-messaging';
import { addRedshiftData } from '../../examples/webhook-runner/redshift-data';
import { addRudderstack } from '../../examples/webhook-runner/rudderstack';
import { ENV, type RunnerSettings } from '../../src/webhook-runner/contract';
import {
  CustomerProfilesStandIn,
  EndUserMessagingStandIn,
  RedshiftDataStandIn,
} from '../webhook-runner/aws-stand-ins';
import { type LocalServer, serve, Sink } from '../webhook-runner/servers';

const API_KEY = 'recipes-key';
const WRITE_KEY = 'rudderstack-write-key';
const CLIENT_SECRET = 'dataverse-client-secret';
const RECIPES = ['Rudderstack', 'Dataverse', 'RedshiftData', 'EndUserMessaging', 'CustomerProfiles'];

/** Real bundles, real functions, real SDK clients; what they talk to are stand-ins. */
const api = new Sink();
const tokenRequests: URLSearchParams[] = [];
const redshift = new RedshiftDataStandIn();
const messaging = new EndUserMessagingStandIn();
const profiles = new CustomerProfilesStandIn();
const logs: string[] = [];
let host: WebhookHost;
let server: LocalServer;
let assembly: string;
let system: System;
let runs = 0;

function build(stack: Stack): void {
  const options = { allowedHosts: ['127.0.0.1'], allowPrivateHosts: true };
  const runners = {
    Rudderstack: addRudderstack(stack, { ...options, dataPlaneUrl: server.url }),
    Dataverse: addDataverse(stack, {
      ...options,
      organizationUrl: server.url,
      directoryId: 'directory',
      loginUrl: server.url,
    }),
    RedshiftData: addRedshiftData(stack, options),
    EndUserMessaging: addEndUserMessaging(stack, options),
    CustomerProfiles: addCustomerProfiles(stack, options),
  };
  for (const [name, { runUrl }] of Object.entries(runners)) {
    new CfnOutput(stack, `${name}Url`, { value: runUrl });
  }
}

/** Impatient, so that the test is short. */
function hurry(template: { Resources?: Record<string, { Properties?: unknown }> }): void {
  for (const { Properties } of Object.values(template.Resources ?? {})) {
    const variables = (Properties as { Environment?: { Variables?: Record<string, unknown> } } | undefined)
      ?.Environment?.Variables;
    const json = variables?.[ENV.settings];
    if (variables === undefined || typeof json !== 'string') continue;
    const settings = JSON.parse(json) as RunnerSettings;
    const retry = { maxAttempts: 5, baseDelayMs: 20, maxDelayMs: 100 };
    variables[ENV.settings] = JSON.stringify({ ...settings, requestsPerMinute: undefined, retry });
  }
}

beforeAll(async () => {
  host = await WebhookHost.start();
  await Promise.all([redshift, messaging, profiles].map(standIn => standIn.start()));
  server = await serve((request: IncomingMessage, response: ServerResponse, body) => {
    if (request.url !== '/directory/oauth2/v2.0/token') return api.handle(request, response, body);
    tokenRequests.push(new URLSearchParams(body.toString()));
    response.end('{"access_token":"dataverse-token","expires_in":3599,"token_type":"Bearer"}');
  });
  assembly = synthesize(app => build(new Stack(app, 'Recipes')));
  system = await System.start({
    assembly,
    nodePath: process.env.LOCAL_NODE,
    log: (source, line) => logs.push(`${source} | ${line}`),
    transform: hurry,
    environmentOverrides: {
      RedshiftDataFunction: { AWS_ENDPOINT_URL_REDSHIFT_DATA: redshift.url },
      EndUserMessagingFunction: { AWS_ENDPOINT_URL_PINPOINT_SMS_VOICE_V2: messaging.url },
      CustomerProfilesFunction: { AWS_ENDPOINT_URL_CUSTOMER_PROFILES: profiles.url },
    },
  });
  const secrets = system.service(SecretsManager);
  RECIPES.forEach(name => secrets.put(`${name}ApiKey`, API_KEY));
  secrets.put('RudderstackWriteKey', JSON.stringify({ username: WRITE_KEY, password: '' }));
  secrets.put('DataverseClient', JSON.stringify({ clientId: 'client', clientSecret: CLIENT_SECRET }));
});
afterAll(async () => {
  await system?.stop();
  await Promise.all([redshift, messaging, profiles].map(standIn => standIn.stop()));
  await server?.close();
  await host?.stop();
  if (assembly) rmSync(assembly, { recursive: true, force: true });
});
beforeEach(() => {
  api.received.length = 0;
});

/** @param recipe its name, or where it is called */
async function run(
  recipe: string,
  records: object[],
  settings: Record<string, string> = {},
): Promise<ReceivedStatus | undefined> {
  const webhookId = `wh-${++runs}`;
  host.files.set('data.ndjson', Buffer.from(records.map(record => `${JSON.stringify(record)}\n`).join('')));
  const request = host.request(webhookId, {
    data_url: host.fileUrl('data.ndjson'),
    label_name: 'Gold members',
    settings,
  });
  expect((await startRun(system.outputs[`${recipe}Url`] ?? recipe, request, API_KEY)).status).toBe(202);
  return endOfRun(host, webhookId);
}

test('Rudderstack gets track events of users who entered the audience, with the write key as user name', async () => {
  const end = await run('Rudderstack', [
    { user_id: 'u-1', email: 'a@example.com', event_id: 'e-1' },
    { user_id: 'ü-2', email: 'b@example.com' },
  ]);
  expect(end).toMatchObject({ state: 'succeeded', reason: '' });
  expect(api.received.map(({ body }) => body.toString())).toEqual([
    '{"batch":[{"userId":"u-1","messageId":"e-1","type":"track","event":"Audience Entered","properties":{"audience":"Gold members"}},' +
      '{"userId":"ü-2","type":"track","event":"Audience Entered","properties":{"audience":"Gold members"}}]}',
  ]);
  expect(api.received[0].headers).toMatchObject({
    authorization: `Basic ${Buffer.from(`${WRITE_KEY}:`).toString('base64')}`,
    'content-type': 'application/json',
    'idempotency-key': expect.stringMatching(/^[0-9a-f]{64}$/),
  });
});

test('Dataverse gets contacts to create or update by their key, a hundred in a request, with a token for its own environment', async () => {
  const people = Array.from({ length: 101 }, (_, id) => ({
    user_id: id === 0 ? "O'Hara & Söhne/1" : id,
    email: `p${id}@example.com`,
    first_name: 'P',
  }));
  api.answer = (_, response, index) => {
    if (index !== 0) return false;
    response.writeHead(429, { 'retry-after': '0' }).end();
    return true;
  };
  const end = await run('Dataverse', [...people, { email: 'nobody@example.com' }]);
  api.answer = () => false;
  expect(end).toMatchObject({
    state: 'succeeded',
    reason: '1 of 102 records failed.',
    errors: ['record 101 could not be mapped: there is no user_id'],
  });
  expect(new Set(tokenRequests.map(String)).size).toBe(1);
  expect(Object.fromEntries(tokenRequests[0])).toEqual({
    grant_type: 'client_credentials',
    client_id: 'client',
    client_secret: CLIENT_SECRET,
    scope: `${server.url}/.default`,
  });
  const bodies = api.accepted.map(({ body }) => JSON.parse(body.toString()) as { Targets: object[] });
  expect(bodies.map(({ Targets }) => Targets.length)).toEqual([100, 1]);
  expect(bodies[0].Targets.slice(0, 2)).toEqual([
    {
      '@odata.type': 'Microsoft.Dynamics.CRM.contact',
      '@odata.id': "contacts(new_externalid='O''Hara%20%26%20S%C3%B6hne%2F1')",
      emailaddress1: 'p0@example.com',
      firstname: 'P',
      new_audience: 'Gold members',
    },
    {
      '@odata.type': 'Microsoft.Dynamics.CRM.contact',
      '@odata.id': "contacts(new_externalid='1')",
      emailaddress1: 'p1@example.com',
      firstname: 'P',
      new_audience: 'Gold members',
    },
  ]);
  expect(api.received[0].key).toBe(api.received[1].key);
  expect(api.accepted[0].headers).toMatchObject({
    authorization: 'Bearer dataverse-token',
    'odata-version': '4.0',
    'odata-maxversion': '4.0',
    'if-none-match': 'null',
    accept: 'application/json',
  });
});

describe('a function', () => {
  test('puts the records of a file into Redshift, and those that are refused are reported', async () => {
    redshift.refuse = ({ id }) => (id === 50 ? 'too long' : undefined);
    const end = await run(
      'RedshiftData',
      Array.from({ length: 100 }, (_, id) => ({ id })),
    );
    expect(end).toMatchObject({ state: 'succeeded', reason: '1 of 100 records failed.' });
    expect(end!.errors).toEqual(['record 50: ERROR: too long']);
    expect(redshift.rows.map(({ record }) => record)).toEqual(
      Array.from({ length: 100 }, (_, id) => ({ id, audience: 'Gold members' })).filter(
        ({ id }) => id !== 50,
      ),
    );
    expect(redshift.rows.map(({ recordNumber }) => recordNumber)).toEqual(
      Array.from({ length: 100 }, (_, id) => id).filter(id => id !== 50),
    );
  });

  test('sends each message once although the service throttles it, and reports which number it refused', async () => {
    messaging.throttle = 2;
    const end = await run(
      'EndUserMessaging',
      [{ phone: '+12065550100', name: 'A' }, { phone: '0100' }, { phone: '+12065550101' }],
      { message: 'Come in' },
    );
    expect(end).toMatchObject({
      state: 'succeeded',
      reason: '1 of 3 batches failed, 1 of 3 records failed.',
    });
    expect(
      messaging.sent.map(({ DestinationPhoneNumber, MessageBody }) => [DestinationPhoneNumber, MessageBody]),
    ).toEqual([
      ['+12065550100', 'Come in'],
      ['+12065550101', 'Come in'],
    ]);
    expect(new Set(messaging.sent.map(({ Context }) => Context.idempotency_key)).size).toBe(2);
  });

  test('puts objects into Customer Profiles; the same file again changes nothing', async () => {
    for (let time = 0; time < 2; time++) {
      const end = await run(
        'CustomerProfiles',
        Array.from({ length: 25 }, (_, id) => ({ user_id: `u-${id}` })),
      );
      expect(end).toMatchObject({ state: 'succeeded', reason: '' });
    }
    expect(profiles.objects.size).toBe(25);
    expect(profiles.objects.get('u-24')).toEqual({ user_id: 'u-24', audience: 'Gold members' });
  });

  test('that throws for a while gets its batch again until it takes it: no record is given up', async () => {
    messaging.throttle = 5;
    const end = await run('EndUserMessaging', [{ phone: '+12065550102' }, { phone: '+12065550103' }], {
      message: 'Hello',
    });
    expect(end).toMatchObject({ state: 'succeeded', reason: '', errors: [] });
    expect(messaging.sent.at(-1)).toMatchObject({ DestinationPhoneNumber: '+12065550103' });
  });
});

test('a dry run maps and reports as the real one, and sends nothing', async () => {
  const dryAssembly = synthesize(app => {
    const stack = new Stack(app, 'Dry');
    new CfnOutput(stack, 'Url', {
      value: `${addDataverse(stack, { dryRun: true, allowedHosts: ['127.0.0.1'], allowPrivateHosts: true }).url}/run`,
    });
  });
  let dry: System | undefined;
  try {
    dry = await System.start({ assembly: dryAssembly, nodePath: process.env.LOCAL_NODE, transform: hurry });
    dry.service(SecretsManager).put('DataverseApiKey', API_KEY);
    const end = await run(dry.outputs.Url, [{ user_id: 'u-1' }, { email: 'nobody@example.com' }]);
    expect(end).toMatchObject({
      state: 'succeeded',
      reason: '1 of 2 records failed.',
      errors: ['record 1 could not be mapped: there is no user_id'],
    });
    expect(api.received).toEqual([]);
  } finally {
    await dry?.stop();
    rmSync(dryAssembly, { recursive: true, force: true });
  }
});

describe('at the end', () => {
  test.each(RECIPES)('no call of %s was denied', name => {
    for (const fn of ['AcceptHandler', 'RunHandler']) {
      expect(deniedCalls(system, `${name}-${fn}`)).toEqual([]);
    }
  });

  test('no log line has a record or a secret', () => {
    const text = logs.join('\n');
    for (const secret of [
      API_KEY,
      WRITE_KEY,
      CLIENT_SECRET,
      'dataverse-token',
      '+12065550100',
      'p1@example.com',
      'u-24',
    ]) {
      expect(text).not.toContain(secret);
    }
  });
});
