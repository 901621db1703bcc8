/**
 * The page of the demo in a real browser, by `npx projen test:page`: it is used as a person uses it, by mouse
 * and by keyboard, in light and dark. Pictures go to docs/images with --pictures, else to a temporary folder.
 *
 * The browser is $CHROMIUM_PATH, else one of the system, else @sparticuz/chromium (Linux on x64), which is
 * installed into an ignored folder as playwright-core is. Where there is none the task fails.
 */
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { pathToFileURL } from 'node:url';
import { Lambda } from 'cdk-localhost/lambda';
import { PageServer } from 'cdk-localhost/page';
import { Sqs } from 'cdk-localhost/sqs';
import { System } from 'cdk-localhost/system';
import { eventually } from 'cdk-localhost/testing/stand-ins';
import { runExample } from '../../demo/example/example';
import { SAMPLES } from '../../demo/example/samples';
import { ROOT } from '../../demo/example/synth';

const TOOLS = path.join(ROOT, 'node_modules/.cache/test-page');
const PLAYWRIGHT = 'playwright-core@1.56.1';
const CHROMIUM = '@sparticuz/chromium@141.0.0';
const SYSTEM_BROWSERS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** The little of Playwright's page that is used here: the package is not there when types are checked. */
interface Locator {
  click(): Promise<void>;
  count(): Promise<number>;
  fill(text: string): Promise<void>;
  first(): Locator;
  focus(): Promise<void>;
  getAttribute(name: string): Promise<string | null>;
  inputValue(): Promise<string>;
  press(key: string): Promise<void>;
  textContent(): Promise<string | null>;
  waitFor(): Promise<void>;
}
interface Page {
  keyboard: { press(key: string): Promise<void>; type(text: string): Promise<void> };
  goto(url: string): Promise<unknown>;
  locator(selector: string, options?: { hasText: string | RegExp }): Locator;
  getByRole(role: string, options: { name: string | RegExp; exact?: boolean }): Locator;
  getByLabel(text: string, options?: { exact?: boolean }): Locator;
  emulateMedia(options: { colorScheme: 'light' | 'dark' }): Promise<void>;
  evaluate<T>(expression: string): Promise<T>;
  screenshot(options: { path: string }): Promise<unknown>;
  on(event: 'pageerror' | 'request', listener: (thing: Error & { url(): string }) => void): void;
}
interface Browser {
  newPage(options: object): Promise<Page>;
  close(): Promise<void>;
}

function install(...packages: string[]): void {
  mkdirSync(TOOLS, { recursive: true });
  if (!existsSync(path.join(TOOLS, 'package.json'))) {
    writeFileSync(path.join(TOOLS, 'package.json'), '{"private":true}');
  }
  const args = ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--prefix', TOOLS];
  execFileSync('npm', [...args, ...packages], { stdio: 'inherit' });
}

async function openBrowser(temporary: string): Promise<Browser> {
  const given = process.env.CHROMIUM_PATH ?? SYSTEM_BROWSERS.find(existsSync);
  const wanted = given === undefined ? [PLAYWRIGHT, CHROMIUM] : [PLAYWRIGHT];
  const isThere = wanted.every(name =>
    existsSync(path.join(TOOLS, 'node_modules', name.replace(/@[\d.]+$/, ''))),
  );
  if (!isThere) install(...wanted);
  const load = createRequire(path.join(TOOLS, 'x.js'));
  const { chromium } = load('playwright-core') as {
    chromium: { launch(options: object): Promise<Browser> };
  };
  if (given !== undefined) return chromium.launch({ executablePath: given });
  process.env.TMPDIR = temporary; // it unpacks itself there, and would take whatever already lies there by its name
  const module = (await import(pathToFileURL(load.resolve('@sparticuz/chromium')).href)) as {
    default: { args: string[]; executablePath(): Promise<string> };
  };
  const { default: sparticuz } = module;
  // With its web security off it sends no Origin, which the page's server asks for.
  const args = sparticuz.args.filter(arg => !/web-security|site-isolation/.test(arg));
  return chromium.launch({ executablePath: await sparticuz.executablePath(), args });
}

/** The sample app of packages/local/test, whose tarball runs it in a unit test. */
async function showSample(page: Page, ends: (() => unknown)[]): Promise<void> {
  const outdir = mkdtempSync(path.join(tmpdir(), 'test-page-app-'));
  ends.push(() => rmSync(outdir, { recursive: true, force: true }));
  const context = JSON.stringify({ 'aws:cdk:enable-path-metadata': true });
  execFileSync(process.execPath, [path.join(ROOT, 'packages/local/test/sample-app/app.js')], {
    env: { ...process.env, CDK_OUTDIR: outdir, CDK_CONTEXT_JSON: context, CDK_VALIDATION: 'false' },
  });
  const system = await System.start({ assembly: outdir });
  ends.push(() => system.stop());
  const server = await PageServer.start(system, { port: 0, exact: true });
  ends.push(() => server.stop());
  await page.goto(server.url);
  await page.locator('.node', { hasText: 'POST /items' }).first().click();
  await page.getByLabel('Body', { exact: true }).fill('{"name":"lamp","price":120}');
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  await page.locator('#try pre', { hasText: /^201/ }).waitFor();
  await page.locator('details summary', { hasText: 'Messaging-Worker' }).first().waitFor();
  await page.getByRole('tab', { name: 'Events' }).click();
  await page.locator('.line', { hasText: 'Order placed' }).first().waitFor();
}

async function main(): Promise<void> {
  const temporary = mkdtempSync(path.join(tmpdir(), 'test-page-'));
  const pictures = process.argv.includes('--pictures') ? path.join(ROOT, 'docs/images') : temporary;
  mkdirSync(pictures, { recursive: true });
  const ends: (() => unknown)[] = [() => rmSync(temporary, { recursive: true, force: true })];
  try {
    const { system, stop } = await runExample();
    ends.push(stop);
    const server = await PageServer.start(system, { port: 0, exact: true, samples: SAMPLES });
    ends.push(() => server.stop());
    const browser = await openBrowser(temporary);
    ends.push(() => browser.close());
    const page = await browser.newPage({ viewport: { width: 1440, height: 900 }, colorScheme: 'light' });
    const errors: string[] = [];
    page.on('pageerror', error => errors.push(error.message));
    page.on('request', request => {
      if (!/^http:\/\/127\.0\.0\.1:/.test(request.url())) errors.push(`It asked for ${request.url()}`);
    });
    const step = (text: string) => void process.stdout.write(`- ${text}\n`);

    await page.goto(server.url);
    await page.locator('.node').first().waitFor();
    const functions = (await page.locator('.node[data-kind=function]').count()).toString();
    assert.match((await page.locator('#count').textContent())!, new RegExp(`^${functions} functions$`));
    assert.ok((await page.locator('svg path').count()) > 10, 'the map has wires');
    step(`the map shows ${functions} functions`);

    await page.locator('.node', { hasText: 'PUT /hello/{user}' }).first().click();
    await page.getByLabel('Path').fill('/hello/nando');
    await page.getByLabel('Body', { exact: true }).fill('{"dateOfBirth":"1978-06-18"}');
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await page.locator('#try pre', { hasText: /\d ms/ }).waitFor();
    assert.match((await page.locator('#try pre').first().textContent())!, /^204/);
    step('a request is sent from its form and answered 204');

    await page.locator('.node[data-kind=table]', { hasText: 'Birthdays-Table' }).click();
    await page.locator('#drawer td', { hasText: '1978-06-18' }).first().waitFor();
    step('the item lies in the table');

    await page.locator('#drawer tr[data-item]').first().click();
    const item = page.getByLabel('Item, in DynamoDB JSON');
    await item.fill((await item.inputValue()).replace('1978-06-18', '1980-02-29'));
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await page.locator('#drawer td', { hasText: '1980-02-29' }).first().waitFor();
    await page.getByRole('button', { name: 'New item', exact: true }).click();
    await item.fill('{"DateOfBirth": 1}');
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await page.locator('#drawer .bad', { hasText: /./ }).waitFor();
    await page.getByRole('button', { name: 'Cancel', exact: true }).click();
    step('an item is changed, and a wrong one is refused with its reason');

    await page.getByRole('tab', { name: 'Template' }).click();
    await page.locator('#feed pre', { hasText: 'KeySchema' }).waitFor();
    step('the template of the chosen table is shown');

    await page.keyboard.press('/');
    await page.keyboard.type('GetHandler');
    await page.keyboard.press('Enter');
    await page.locator('#try h3', { hasText: 'Birthdays-GetHandler' }).waitFor();
    await page.getByRole('button', { name: 'Invoke', exact: true }).focus();
    await page.keyboard.press('Enter');
    await page.locator('#try pre', { hasText: 'statusCode' }).waitFor();
    step('a function is found and invoked by keyboard, with its sample event');

    await page.getByRole('tab', { name: 'Invocations' }).focus();
    await page.keyboard.press('ArrowRight');
    assert.equal(await page.getByRole('tab', { name: 'Logs' }).getAttribute('aria-selected'), 'true');
    await page.locator('.line', { hasText: 'Birthdays-GetHandler' }).first().waitFor();
    step('the arrow keys change tabs, and the logs are there');

    const queue = page.locator('.node[data-kind=queue] b', { hasText: /DeadLetter.*fifo/ });
    const queueName = (await queue.first().textContent())!;
    system.service(Sqs).queue(queueName).send({ body: 'broken', groupId: 'g', deduplicationId: 'd' });
    await page.locator('.node[data-kind=queue]', { hasText: queueName }).first().click();
    await page.locator('#drawer td', { hasText: 'broken' }).waitFor();
    await page.getByRole('button', { name: 'Move back' }).waitFor();
    step('a message lies in a dead-letter queue, with a button to move it back');

    const role = `arn:aws:iam::123456789012:role/${system.resources.find(({ type }) => type === 'AWS::IAM::Role')!.name}`;
    const { accessKeyId } = system.iam.createCredentials('Birthdays-GetHandler', role, 'test');
    const headers = {
      authorization: `AWS4-HMAC-SHA256 Credential=${accessKeyId}/20260101/us-east-1/s3/aws4_request`,
    };
    await system.iam.authorize(headers, 's3:PutObject', 'arn:aws:s3:::elsewhere/key').catch(() => undefined);
    await page.getByRole('tab', { name: 'Denied' }).click();
    await page.locator('.line', { hasText: 'may not s3:PutObject' }).waitFor();
    await page.locator('.line pre', { hasText: 'missing' }).waitFor();
    step('a denied call is shown with the statement that is missing');

    await system
      .service(Lambda)
      .invoke('Birthdays-GetHandler', 'null')
      .catch(() => undefined);
    await page.getByRole('tab', { name: 'Crashes' }).click();
    await page.locator('#feed b.bad', { hasText: /Error/ }).first().waitFor();
    step('an invocation that failed is among the crashes, with its trace');

    await page.getByRole('tab', { name: 'Invocations' }).click();
    await page.locator('.node', { hasText: 'PUT /hello/{user}' }).first().click();
    await page.locator('details summary', { hasText: 'PUT /hello/nando' }).first().click();
    await page.locator('.step', { hasText: 'dynamodb:' }).first().waitFor();
    step('an invocation opens to its calls');

    await page.getByLabel('Find a resource').fill('');
    const background = () => page.evaluate<string>('getComputedStyle(document.body).backgroundColor');
    const light = await background();
    await page.screenshot({ path: path.join(pictures, 'page-light.png') });
    await page.emulateMedia({ colorScheme: 'dark' });
    await eventually(async () => (await background()) !== light);
    await page.screenshot({ path: path.join(pictures, 'page-dark.png') });
    step(`it is readable in light and dark: ${pictures}`);

    await showSample(page, ends);
    step("the page shows a stranger's app: a request, its message and its event");

    assert.deepEqual(errors, [], 'no error, and nothing asked for elsewhere');
    step('no script failed, and nothing was asked for elsewhere');
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

main().catch((error: Error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
});
