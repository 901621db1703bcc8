/** The blocks of the example app: what the demo prints, and the tour that it makes. */

export interface Step {
  readonly title: string;
  readonly method: string;
  readonly path: string;
  /** `{name}` in a text is what an earlier step of the block kept under that name. */
  readonly body?: unknown;
  /** A member of the answer that later steps send. */
  readonly keep?: string;
  readonly headers?: Record<string, string>;
  readonly expect: number;
}

export interface Block {
  /** As in `--json`, and the prefix of the example app's output names. */
  readonly name: string;
  /** The output that holds the block's address. */
  readonly url: string;
  readonly tour: Step[];
  /**
   * How many steps of the tour the demo prints as lines to copy; 2 unless said. Some blocks have better
   * lines, from hosts of their own.
   */
  readonly shown?: number;
}

export const BLOCKS: Block[] = [
  {
    name: 'birthdayApi',
    url: 'url',
    tour: [
      {
        title: 'Store a birthday',
        method: 'PUT',
        path: '/hello/nando',
        body: { dateOfBirth: '1978-06-18' },
        expect: 204,
      },
      { title: 'Greet', method: 'GET', path: '/hello/nando', expect: 200 },
      {
        title: 'A date that does not exist',
        method: 'PUT',
        path: '/hello/nando',
        body: { dateOfBirth: '2023-02-29' },
        expect: 400,
      },
      { title: 'Somebody unknown', method: 'GET', path: '/hello/nobody', expect: 404 },
    ],
  },
  {
    name: 'uniqueCodeTable',
    url: 'url',
    tour: [
      { title: 'A code', method: 'POST', path: '/codes', body: { reference: 'order 7' }, expect: 201 },
      {
        title: 'Three codes, all or none',
        method: 'POST',
        path: '/codes',
        body: { count: 3, length: 12 },
        expect: 201,
      },
      {
        title: 'The same answer for the same key',
        method: 'POST',
        path: '/codes',
        body: {},
        headers: { 'idempotency-key': 'tour' },
        expect: 201,
      },
      {
        title: 'Again',
        method: 'POST',
        path: '/codes',
        body: {},
        headers: { 'idempotency-key': 'tour' },
        expect: 201,
      },
      { title: 'A length that cannot be', method: 'POST', path: '/codes', body: { length: 0 }, expect: 400 },
      {
        title: 'A code for somebody',
        method: 'POST',
        path: '/codes',
        body: { usedBy: 'nando' },
        keep: 'code',
        expect: 201,
      },
      {
        title: 'Is it good?',
        method: 'POST',
        path: '/codes/validate',
        body: { code: '{code}' },
        expect: 200,
      },
      {
        title: 'Redeem it',
        method: 'POST',
        path: '/codes/redeem',
        body: { code: '{code}', by: 'till 4' },
        headers: { 'idempotency-key': 'till-4-receipt-7' },
        expect: 201,
      },
      {
        title: 'The same redemption again: the answer was lost, say',
        method: 'POST',
        path: '/codes/redeem',
        body: { code: '{code}', by: 'till 4' },
        headers: { 'idempotency-key': 'till-4-receipt-7' },
        expect: 200,
      },
      {
        title: 'A second redemption is refused',
        method: 'POST',
        path: '/codes/redeem',
        body: { code: '{code}', by: 'till 5' },
        headers: { 'idempotency-key': 'till-5-receipt-1' },
        expect: 409,
      },
    ],
  },
  {
    name: 'gitPushPipeline',
    url: 'webhookUrl',
    shown: 0,
    tour: [
      {
        title: 'A webhook that nobody signed',
        method: 'POST',
        path: '',
        body: {},
        headers: { 'x-github-event': 'push' },
        expect: 401,
      },
    ],
  },
  {
    name: 'crashReporterLayer',
    url: 'url',
    shown: 7,
    tour: [
      { title: 'Handler not found', method: 'POST', path: '/crash/handler-not-found', expect: 500 },
      { title: 'Missing module', method: 'POST', path: '/crash/missing-module', expect: 500 },
      { title: 'Exit', method: 'POST', path: '/crash/exit', expect: 500 },
      { title: 'Out of memory', method: 'POST', path: '/crash/out-of-memory', expect: 500 },
      { title: 'Timeout', method: 'POST', path: '/crash/timeout', expect: 500 },
      { title: 'Thrown error', method: 'POST', path: '/crash/thrown-error', expect: 500 },
      { title: 'Bundled TypeScript', method: 'POST', path: '/crash/bundled-typescript', expect: 500 },
    ],
  },
  {
    name: 'webhookRunner',
    url: 'url',
    shown: 0,
    tour: [
      { title: 'A run without the key', method: 'POST', path: '', body: {}, expect: 401 },
      {
        title: 'A run without a file',
        method: 'POST',
        path: '',
        body: { webhook_id: 'wh-0' },
        headers: { 'x-api-key': 'demo-key' },
        expect: 400,
      },
    ],
  },
];

/**
 * `{"birthdayApi":{"url":"http://…"}}` from the outputs `BirthdayApiUrl`, …; outputs that belong to no block
 * are left out.
 */
export function blockOutputs(
  outputs: Readonly<Record<string, string>>,
): Record<string, Record<string, string>> {
  const result: Record<string, Record<string, string>> = {};
  for (const [name, value] of Object.entries(outputs)) {
    const block = BLOCKS.find(candidate => name.startsWith(upperFirst(candidate.name)));
    if (!block) continue;
    const property = name.slice(block.name.length);
    result[block.name] = { ...result[block.name], [property[0].toLowerCase() + property.slice(1)]: value };
  }
  return result;
}

/** A line to copy into a shell. */
export function curl({ method, path, body, headers = {} }: Step, url: string): string {
  return [
    'curl -i',
    ...(method === 'GET' ? [] : [`-X ${method}`]),
    ...Object.entries({ ...(body !== undefined && { 'content-type': 'application/json' }), ...headers }).map(
      ([name, value]) => `-H '${name}: ${value}'`,
    ),
    ...(body === undefined ? [] : [`-d '${JSON.stringify(body)}'`]),
    `${url}${path}`,
  ].join(' ');
}

function upperFirst(text: string): string {
  return text[0].toUpperCase() + text.slice(1);
}
