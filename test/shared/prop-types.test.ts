/**
 * JavaScript lets a value of a wrong type through: every prop and every argument of a static says so itself,
 * wherever it is given.
 */
import { App, Duration, Stack } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { describe, expect, test } from 'vitest';
import * as blocks from '../../src';
import { PROP_TYPES } from '../../src/shared/prop-types';

const CONSTRUCTS: Record<string, (stack: Stack) => object> = {
  BirthdayApi: () => ({}),
  BlocksDashboard: () => ({}),
  CrashReporterLayer: () => ({ dsn: blocks.SentryDsn.fromSecretName('dsn') }),
  GitPushPipeline: stack => ({
    repositories: ['github.com/acme/*'],
    webhookSecret: blocks.WebhookSecret.fromSecret(new secretsmanager.Secret(stack, 'Secret')),
  }),
  UniqueCodeTable: () => ({}),
  WebhookRunner: stack => ({
    destination: blocks.WebhookDestination.none(),
    allowedHosts: ['files.example.com'],
    apiKey: new secretsmanager.Secret(stack, 'Secret'),
  }),
};
const WRONG: [kind: string, value: unknown][] = [
  ['string', 'nonsense'],
  ['number', 42],
  ['boolean', true],
  ['list', ['x', {}]],
  ['map', { x: null }],
  ['object', new Date()],
  ['null', null],
];
/** Whether a value of some kind is of the type, as far as that can be seen. */
const fits = (type: string, kind: string) =>
  type.startsWith(kind) ||
  (type.startsWith('enum') && !type.includes(':') && /string|number/.test(kind)) ||
  (/^(struct|map)/.test(type) && kind === 'object') ||
  (type.startsWith('struct') && kind === 'map');

type Make = (...args: unknown[]) => unknown;
const library = blocks as unknown as Record<string, Make & Record<string, Make>>;
const newStack = () => new Stack(new App(), 'Test');
const errorOf = (make: () => unknown): Error | undefined => {
  try {
    make();
    return undefined;
  } catch (error) {
    return error as Error;
  }
};

/** The errors of all wrong values that are not what they should be. */
function unclear(
  shape: string,
  make: (field: string, value: unknown) => unknown,
  nameOf = (field: string) => field,
): string[] {
  return Object.entries(PROP_TYPES[shape]).flatMap(([key, type]) => {
    const field = key.replace('?', '');
    return WRONG.filter(([kind]) => !fits(type, kind))
      .map(([kind, value]) => [kind, errorOf(() => make(field, value))] as const)
      .filter(
        ([, error]) => error?.name !== 'InvalidPropError' || !error.message.startsWith(`\`${nameOf(field)}`),
      )
      .map(([kind, error]) => `${shape} ${field} given a ${kind}: ${String(error)}`);
  });
}

describe.each(Object.keys(CONSTRUCTS))('%s', name => {
  const Block = library[name] as unknown as new (stack: Stack, id: string, props?: unknown) => unknown;

  test('names the prop, what it must be, and where', () => {
    const make = (field: string, value: unknown) => {
      const stack = newStack();
      new Block(stack, 'Block', { ...CONSTRUCTS[name](stack), [field]: value });
    };
    expect(unclear(`${name}Props`, make)).toEqual([]);
  });

  test('says what is missing', () => {
    for (const [key] of Object.entries(PROP_TYPES[`${name}Props`]).filter(
      ([field]) => !field.endsWith('?'),
    )) {
      const make = () => {
        const stack = newStack();
        new Block(stack, 'Block', { ...CONSTRUCTS[name](stack), [key]: undefined });
      };
      expect(make).toThrow(new RegExp(`^\`${key}\` must be .*, got undefined \\(at Test/Block\\)$`));
    }
    expect(() => new Block(newStack(), 'Block', 'props')).toThrow(/`props` must be an object/);
  });
});

describe('every static', () => {
  const statics = Object.keys(PROP_TYPES).filter(shape => shape.includes('.') && !/^aws_/.test(shape));

  test('is checked', () => expect(statics.length).toBeGreaterThan(25));

  test.each(statics)('%s names the argument and what it must be', shape => {
    const [className, method] = shape.split('.');
    const fields = Object.keys(PROP_TYPES[shape]).map(key => key.replace('?', ''));
    // Others than the wrong one are not right either: the first wrong one is named, so each is tried in its
    // place.
    const make = (field: string, value: unknown) => {
      const right: Record<string, unknown> = Object.fromEntries(
        fields.map(name => [name, rightFor(shape, name)]),
      );
      const args = declared(className, method).map(name =>
        name === 'scope' ? newStack() : { ...right, [field]: value }[name],
      );
      return library[className][method](...args);
    };
    expect(unclear(shape, make)).toEqual([]);
  });

  /** The names of a static's arguments, in their order. */
  function declared(className: string, method: string): string[] {
    return /\(([^)]*)\)/
      .exec(String(library[className][method]))![1]
      .split(',')
      .map(argument => argument.trim().replace(/ *=.*/, ''))
      .filter(argument => argument !== '');
  }

  function rightFor(shape: string, field: string): unknown {
    const type = PROP_TYPES[shape][field] ?? PROP_TYPES[shape][`${field}?`];
    if (type === 'string') return 'text';
    if (type.includes('ISecret')) {
      return secretsmanager.Secret.fromSecretNameV2(newStack(), 'Secret', 'secret');
    }
    if (type.includes('IEventBus')) return events.EventBus.fromEventBusName(newStack(), 'Bus', 'bus');
    if (!type.startsWith('struct ')) return undefined;
    const name = type.replace('struct ', '');
    const needed = Object.keys(PROP_TYPES[name]).filter(key => !key.endsWith('?'));
    return Object.fromEntries(needed.map(key => [key, rightFor(name, key)]));
  }
});

test('what lies deeper is named by its path', () => {
  const stack = newStack();
  const make = (props: object) => new blocks.BirthdayApi(stack, `Block${stack.node.children.length}`, props);
  expect(() => make({ domain: { domainName: 7 } })).toThrow(/^`domain.domainName` must be a string, got 7/);
  expect(() => make({ corsPreflight: { maxAge: 60 } })).toThrow(
    /^`corsPreflight.maxAge` must be a Duration such as Duration.seconds\(30\), got 60/,
  );
  expect(() => make({ authorizationScopes: ['a', 1] })).toThrow(
    /^`authorizationScopes\[1\]` must be a string, got 1/,
  );
  expect(() => make({ routeThrottle: { 'GET /hello/{user}': { rateLimit: '9' } } })).toThrow(
    /^`routeThrottle\["GET \/hello\/{user}"\].rateLimit` must be a number, got "9"/,
  );
  expect(() => make({ leapDayBirthday: '1 March' })).toThrow(
    /^`leapDayBirthday` must be a LeapDayBirthday: FEBRUARY_28, MARCH_1, got "1 March"/,
  );
  expect(() => make({ billing: 'on demand' })).toThrow(
    /^`billing` must be a TableBilling, made by TableBilling.onDemand, TableBilling.provisioned, got "on demand"/,
  );
});

test('what is known only at deployment passes, and so does what another copy of the CDK made', () => {
  const stack = newStack();
  const secret = {
    secretArn: 'arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf',
    grantRead: () => undefined,
  };
  expect(
    () =>
      new blocks.BirthdayApi(stack, 'Block', {
        timeZone: stack.region,
        reservedConcurrentExecutions: stack.resolve(undefined) as undefined,
        timeout: Duration.seconds(3),
        hashKey: secret as unknown as secretsmanager.ISecret,
      }),
  ).not.toThrow();
});
