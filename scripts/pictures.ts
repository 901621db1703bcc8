/**
 * Draws the pictures of the pages: docs/pictures/<name>-light.svg and -dark.svg. A box that stands for
 * resources names their types, and test/pictures.test.ts compares them with the template of the block.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';

interface Box {
  readonly column: number;
  readonly row: number;
  readonly title: string;
  readonly subtitle?: string;
  /** The CloudFormation types that it stands for; none: it is outside the block. */
  readonly types?: readonly string[];
}

interface Arrow {
  readonly from: string;
  readonly to: string;
  readonly label?: string;
}

export interface Picture {
  readonly title: string;
  readonly boxes: Readonly<Record<string, Box>>;
  readonly arrows: readonly Arrow[];
}

const FUNCTION = ['AWS::Lambda::Function', 'AWS::IAM::Role', 'AWS::Logs::LogGroup'];
const HTTP_API = ['AWS::ApiGatewayV2::Api', 'AWS::ApiGatewayV2::Stage', 'AWS::ApiGatewayV2::Route'];

export const PICTURES: Readonly<Record<string, Picture>> = {
  system: {
    title: 'Five blocks in one app: each is a construct, with its functions, its data and its permissions',
    boxes: {
      app: { column: 0, row: 2, title: 'your CDK app', subtitle: 'TypeScript, Python, …' },
      birthdays: { column: 1, row: 0, title: 'BirthdayApi', subtitle: 'a greeting', types: [] },
      codes: { column: 1, row: 1, title: 'UniqueCodeTable', subtitle: 'codes, never twice', types: [] },
      crashes: {
        column: 1,
        row: 2,
        title: 'CrashReporterLayer',
        subtitle: 'every crash in Sentry',
        types: [],
      },
      pushes: { column: 1, row: 3, title: 'GitPushPipeline', subtitle: 'a push becomes a zip', types: [] },
      runner: { column: 1, row: 4, title: 'WebhookRunner', subtitle: 'a file, every record', types: [] },
      local: { column: 2, row: 1, title: 'localhost', subtitle: 'npm run demo' },
      aws: { column: 2, row: 3, title: 'your AWS account', subtitle: 'cdk deploy' },
    },
    arrows: ['birthdays', 'codes', 'crashes', 'pushes', 'runner'].flatMap(block => [
      { from: 'app', to: block },
      { from: block, to: 'local' },
      { from: block, to: 'aws' },
    ]),
  },
  'birthday-api': {
    title: 'BirthdayApi: an HTTP API, a function for each route, a table',
    boxes: {
      caller: { column: 0, row: 0, title: 'caller' },
      api: { column: 1, row: 0, title: 'HTTP API', subtitle: 'throttle, access log', types: HTTP_API },
      put: { column: 2, row: 0, title: 'put function', subtitle: 'may only write', types: FUNCTION },
      get: { column: 2, row: 1, title: 'greet function', subtitle: 'may only read', types: FUNCTION },
      table: { column: 3, row: 0, title: 'table', subtitle: 'hashed names', types: ['AWS::DynamoDB::Table'] },
    },
    arrows: [
      { from: 'caller', to: 'api', label: 'PUT, GET' },
      { from: 'api', to: 'put' },
      { from: 'api', to: 'get' },
      { from: 'put', to: 'table' },
      { from: 'get', to: 'table' },
    ],
  },
  'unique-code-table': {
    title: 'UniqueCodeTable: a function that draws a code and writes it on the condition that it is new',
    boxes: {
      caller: { column: 0, row: 0, title: 'caller' },
      api: { column: 1, row: 0, title: 'HTTP API', subtitle: 'only with httpApi', types: HTTP_API },
      machine: { column: 1, row: 1, title: 'Step Functions', subtitle: 'or a function of yours' },
      issue: { column: 2, row: 0, title: 'issue function', subtitle: 'draws, tries again', types: FUNCTION },
      table: {
        column: 3,
        row: 0,
        title: 'table',
        subtitle: 'one item a code',
        types: ['AWS::DynamoDB::Table'],
      },
    },
    arrows: [
      { from: 'caller', to: 'api', label: 'POST' },
      { from: 'api', to: 'issue' },
      { from: 'machine', to: 'issue' },
      { from: 'issue', to: 'table', label: 'if new' },
    ],
  },
  'crash-reporter-layer': {
    title: 'CrashReporterLayer: an extension beside each function that reports its crashes to Sentry',
    boxes: {
      fn: { column: 0, row: 0, title: 'your function', subtitle: 'any runtime' },
      layer: {
        column: 1,
        row: 0,
        title: 'extension',
        subtitle: 'a layer for each processor',
        types: ['AWS::Lambda::LayerVersion'],
      },
      lambda: { column: 0, row: 1, title: 'Lambda', subtitle: 'Telemetry API' },
      sentry: { column: 2, row: 0, title: 'Sentry', subtitle: 'an issue, with its trace' },
      dsn: { column: 2, row: 1, title: 'DSN', subtitle: 'secret or parameter' },
    },
    arrows: [
      { from: 'fn', to: 'layer' },
      { from: 'lambda', to: 'layer', label: 'how it ended' },
      { from: 'layer', to: 'sentry', label: 'crash' },
      { from: 'layer', to: 'dsn', label: 'reads' },
    ],
  },
  'git-push-pipeline': {
    title: 'GitPushPipeline: a push becomes a zip in S3 and an event',
    boxes: {
      host: { column: 0, row: 0, title: 'git host', subtitle: 'webhook; the repository' },
      api: { column: 1, row: 0, title: 'HTTP API', types: HTTP_API },
      accept: {
        column: 2,
        row: 0,
        title: 'accept function',
        subtitle: 'checks the signature',
        types: FUNCTION,
      },
      queue: {
        column: 3,
        row: 0,
        title: 'FIFO queue',
        subtitle: 'and dead letters',
        types: ['AWS::SQS::Queue'],
      },
      work: { column: 3, row: 1, title: 'work function', subtitle: 'own git client', types: FUNCTION },
      bucket: { column: 2, row: 1, title: 'bucket', subtitle: 'zips', types: ['AWS::S3::Bucket'] },
      events: { column: 1, row: 1, title: 'EventBridge', subtitle: 'pushed, failed' },
    },
    arrows: [
      { from: 'host', to: 'api', label: 'push' },
      { from: 'api', to: 'accept' },
      { from: 'accept', to: 'queue' },
      { from: 'queue', to: 'work' },
      { from: 'work', to: 'bucket' },
      { from: 'work', to: 'events' },
    ],
  },
  'webhook-runner': {
    title: 'WebhookRunner: a webhook hands over a file, every record reaches its destination',
    boxes: {
      caller: { column: 0, row: 0, title: 'caller', subtitle: 'file, status reports' },
      api: { column: 1, row: 0, title: 'HTTP API', subtitle: 'POST /run', types: HTTP_API },
      accept: { column: 2, row: 0, title: 'accept function', subtitle: 'checks the key', types: FUNCTION },
      queue: { column: 3, row: 0, title: 'queue', subtitle: 'and dead letters', types: ['AWS::SQS::Queue'] },
      run: { column: 3, row: 1, title: 'run function', subtitle: 'streams in slices', types: FUNCTION },
      lease: {
        column: 2,
        row: 1,
        title: 'lease table',
        subtitle: 'one runner a run',
        types: ['AWS::DynamoDB::Table'],
      },
      destination: { column: 1, row: 1, title: 'destination', subtitle: 'HTTP, Lambda, SQS, …' },
    },
    arrows: [
      { from: 'caller', to: 'api' },
      { from: 'api', to: 'accept' },
      { from: 'accept', to: 'queue' },
      { from: 'queue', to: 'run' },
      { from: 'run', to: 'lease' },
      { from: 'run', to: 'destination' },
    ],
  },
};

const WIDTH = 168;
const HEIGHT = 64;
const GAP_X = 76;
const GAP_Y = 32;
const MARGIN = 16;

const THEMES = {
  light: {
    ink: '#1f2328',
    dim: '#59636e',
    line: '#59636e',
    own: '#ddf4ff',
    ownLine: '#0969da',
    other: '#f6f8fa',
  },
  dark: {
    ink: '#f0f6fc',
    dim: '#9198a1',
    line: '#9198a1',
    own: '#121d2f',
    ownLine: '#4493f8',
    other: '#151b23',
  },
} as const;

const place = ({ column, row }: Box) => ({
  x: MARGIN + column * (WIDTH + GAP_X),
  y: MARGIN + row * (HEIGHT + GAP_Y),
});
const escape = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

export function draw({ title, boxes, arrows }: Picture, theme: keyof typeof THEMES): string {
  const colour = THEMES[theme];
  const all = Object.values(boxes);
  const width = 2 * MARGIN + Math.max(...all.map(({ column }) => column)) * (WIDTH + GAP_X) + WIDTH;
  const height = 2 * MARGIN + Math.max(...all.map(({ row }) => row)) * (HEIGHT + GAP_Y) + HEIGHT;
  const lines = arrows.map(arrow => drawArrow(boxes[arrow.from], boxes[arrow.to], arrow.label, colour));
  const shapes = all.map(box => {
    const { x, y } = place(box);
    const own = box.types !== undefined;
    const middle = x + WIDTH / 2;
    const subtitle = box.subtitle
      ? `<text x="${middle}" y="${y + 44}" font-size="12" fill="${colour.dim}">${escape(box.subtitle)}</text>`
      : '';
    return (
      `<rect x="${x}" y="${y}" width="${WIDTH}" height="${HEIGHT}" rx="6" fill="${own ? colour.own : colour.other}" stroke="${own ? colour.ownLine : colour.line}"${own ? '' : ' stroke-dasharray="4 3"'}/>` +
      `<text x="${middle}" y="${y + (box.subtitle ? 27 : 37)}" font-size="14" font-weight="600" fill="${colour.ink}">${escape(box.title)}</text>${subtitle}`
    );
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(title)}" font-family="system-ui, sans-serif" text-anchor="middle">
<title>${escape(title)}</title>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0 8 4 0 8z" fill="${colour.line}"/></marker></defs>
${[...lines, ...shapes].join('\n')}
</svg>
`;
}

/** Straight between neighbours in a row or a column; otherwise out of the side and, halfway, up or down. */
function drawArrow(
  from: Box,
  to: Box,
  label: string | undefined,
  colour: { line: string; dim: string },
): string {
  const [a, b] = [place(from), place(to)];
  const sign = Math.sign(to.column - from.column);
  const vertical = sign === 0;
  const down = to.row > from.row ? HEIGHT : 0;
  const start = vertical
    ? { x: a.x + WIDTH / 2, y: a.y + down }
    : { x: a.x + (sign > 0 ? WIDTH : 0), y: a.y + HEIGHT / 2 };
  const end = vertical
    ? { x: b.x + WIDTH / 2, y: b.y + HEIGHT - down }
    : { x: b.x + (sign > 0 ? 0 : WIDTH), y: b.y + HEIGHT / 2 };
  const far = Math.abs(to.column - from.column) > 1;
  // Around the boxes between.
  const below = Math.max(a.y, b.y) + HEIGHT + 12;
  const line =
    far && from.row === to.row
      ? `M${a.x + WIDTH / 2} ${a.y + HEIGHT}V${below}H${b.x + WIDTH / 2}V${b.y + HEIGHT + 2}`
      : vertical || start.y === end.y
        ? `M${start.x} ${start.y}L${end.x} ${end.y}`
        : `M${start.x} ${start.y}H${(start.x + end.x) / 2}V${end.y}H${end.x}`;
  // Below a bend there is room: it comes from above.
  const y = start.y === end.y ? start.y - 8 : Math.max(start.y, end.y) + 16;
  const text = label
    ? `<text x="${(start.x + end.x) / 2}" y="${y}" font-size="11" fill="${colour.dim}">${escape(label)}</text>`
    : '';
  return `<path d="${line}" fill="none" stroke="${colour.line}" marker-end="url(#tip)"/>${text}`;
}

/** The files below docs/pictures/, by name. */
export function pictureFiles(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(PICTURES).flatMap(([name, picture]) =>
      (['light', 'dark'] as const).map(theme => [`${name}-${theme}.svg`, draw(picture, theme)]),
    ),
  );
}

if (require.main === module) {
  const folder = path.resolve(__dirname, '..', 'docs', 'pictures');
  mkdirSync(folder, { recursive: true });
  for (const [name, content] of Object.entries(pictureFiles())) {
    writeFileSync(path.join(folder, name), content);
  }
  process.stdout.write(`${Object.keys(pictureFiles()).length} pictures are drawn.\n`);
}
