/**
 * Which part of an event a target gets: `InputPath`, `Input` and `InputTransformer`.
 * https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
 *
 * Paths are `$`, members and indices (`$.detail.items[0]`); anything else in a path is refused when a rule is
 * made.
 */

export interface TargetInput {
  readonly Input?: string;
  readonly InputPath?: string;
  readonly InputTransformer?: {
    readonly InputPathsMap?: Record<string, string>;
    readonly InputTemplate: string;
  };
}

export interface RuleNames {
  readonly name: string;
  readonly arn: string;
}

/** Turns an event into the text that a target gets, JSON wherever the template makes JSON. */
export function compileInput(
  { Input, InputPath, InputTransformer }: TargetInput,
  rule: RuleNames,
): (event: object) => string {
  if (Input !== undefined) return () => Input;
  if (InputTransformer) return compileTransformer(InputTransformer, rule);
  const path = compilePath(InputPath ?? '$');
  return event => JSON.stringify(path(event) ?? null);
}

function compileTransformer(
  { InputPathsMap = {}, InputTemplate }: NonNullable<TargetInput['InputTransformer']>,
  rule: RuleNames,
): (event: object) => string {
  const paths = new Map<string, (event: object) => unknown>(
    Object.entries(InputPathsMap).map(([name, path]) => [name, compilePath(path)]),
  );
  paths.set('aws.events.rule-name', () => rule.name);
  paths.set('aws.events.rule-arn', () => rule.arn);
  paths.set('aws.events.event', event => ({ ...event, detail: undefined }));
  paths.set('aws.events.event.json', event => event);
  paths.set('aws.events.event.ingestion-time', event => (event as { time: string }).time);
  const parts = splitTemplate(InputTemplate);
  const unknown = parts.find(({ name }) => name !== undefined && !paths.has(name));
  if (unknown) {
    throw new Error(`The input template uses <${unknown.name}>, which its InputPathsMap does not define`);
  }
  return event => {
    const text = parts
      .map(({ literal, name, quoted }) => literal ?? substitute(paths.get(name!)!(event), quoted))
      .join('');
    try {
      return JSON.stringify(JSON.parse(text));
    } catch {
      return text; // a template need not be JSON where its target takes text
    }
  };
}

interface Part {
  readonly literal?: string;
  readonly name?: string;
  /** Inside a JSON string, where a value has no quotes of its own. */
  readonly quoted: boolean;
}

function splitTemplate(template: string): Part[] {
  const parts: Part[] = [];
  let quoted = false;
  for (const [token] of template.matchAll(/<[\w.-]+>|\\.|[^\\<]+|[\\<]/gs)) {
    const name = /^<([\w.-]+)>$/.exec(token)?.[1];
    parts.push(name ? { name, quoted } : { literal: token, quoted });
    if (!name && !token.startsWith('\\') && token.split('"').length % 2 === 0) quoted = !quoted;
  }
  return parts;
}

function substitute(value: unknown, quoted: boolean): string {
  const json = JSON.stringify(value ?? (quoted ? '' : null));
  if (!quoted) return json;
  return typeof value === 'string' || value === undefined || value === null
    ? json.slice(1, -1)
    : JSON.stringify(json).slice(1, -1);
}

export function compilePath(path: string): (event: object) => unknown {
  const steps = [...path.slice(1).matchAll(/\.([\w-]+)|\['([^']+)'\]|\[(\d+)\]/gy)];
  if (!path.startsWith('$') || steps.reduce((length, [step]) => length + step.length, 1) !== path.length) {
    throw new Error(
      `The path ${path} is not known here: members and indices only, for instance $.detail.items[0]`,
    );
  }
  const names = steps.map(([, plain, bracketed, index]) => plain ?? bracketed ?? index);
  return event =>
    names.reduce<unknown>(
      (value, name) =>
        typeof value === 'object' && value !== null && Object.hasOwn(value, name)
          ? (value as Record<string, unknown>)[name]
          : undefined,
      event,
    );
}
