/**
 * Writes src/shared/prop-types.ts: what each prop of the library must be, from the assembly that jsii made of its types (`.jsii`).
 * JavaScript callers have no compiler that tells them; `validateTypes` does it by this table. `--check` fails where it is not current.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { gunzipSync } from 'node:zlib';

interface TypeReference {
  readonly primitive?: string;
  readonly fqn?: string;
  readonly collection?: { readonly kind: 'array' | 'map'; readonly elementtype: TypeReference };
}
interface Parameter {
  readonly name: string;
  readonly type: TypeReference;
  readonly optional?: boolean;
}
interface Type {
  readonly name: string;
  readonly namespace?: string;
  readonly kind: 'class' | 'interface' | 'enum';
  readonly datatype?: boolean;
  readonly interfaces?: readonly string[];
  readonly base?: string;
  readonly properties?: readonly (Parameter & { readonly static?: boolean })[];
  readonly methods?: readonly {
    readonly name: string;
    readonly static?: boolean;
    readonly returns?: { readonly type: TypeReference };
    readonly parameters?: readonly Parameter[];
  }[];
  readonly members?: readonly { readonly name: string }[];
  readonly locationInModule?: { readonly filename: string };
}
type Types = Record<string, Type>;

const ROOT = path.resolve(__dirname, '..');
const FILE = path.join(ROOT, 'src', 'shared', 'prop-types.ts');
const OURS = 'cdk-serverless-blocks.';

function assembly(folder: string): Types {
  const { types, compression } = JSON.parse(readFileSync(path.join(folder, '.jsii'), 'utf8')) as {
    types?: Types;
    compression?: string;
  };
  if (types && !compression) return types;
  const packed = gunzipSync(readFileSync(path.join(folder, '.jsii.gz'))).toString();
  return (JSON.parse(packed) as { types: Types }).types;
}

const types: Types = Object.assign(
  {},
  ...['node_modules/constructs', 'node_modules/aws-cdk-lib', '.'].map(folder =>
    assembly(path.join(ROOT, folder)),
  ),
);
const shortName = (fqn: string) => fqn.replace(/^(cdk-serverless-blocks|aws-cdk-lib|constructs)\./, '');
const isStruct = (fqn: string) => types[fqn].kind === 'interface' && types[fqn].datatype === true;
/** The fields of a struct, those that it inherits too. */
const fieldsOf = (fqn: string): Parameter[] => [
  ...(types[fqn].properties ?? []),
  ...(types[fqn].interfaces ?? []).flatMap(fieldsOf),
];

const structs = new Set<string>();

/** A type as `validateTypes` reads it. */
function encode({ primitive, fqn, collection }: TypeReference): string {
  if (collection) {
    const element = encode(collection.elementtype);
    return collection.kind === 'array' ? `list of ${element}` : `map of ${element}`;
  }
  if (fqn === undefined) return primitive === 'date' ? 'any' : (primitive ?? 'any'); // a union
  if (types[fqn].kind === 'enum') return `enum ${shortName(fqn)}${valuesOf(fqn)}`;
  if (isStruct(fqn)) {
    structs.add(fqn);
    return `struct ${shortName(fqn)}`;
  }
  const member = memberOf(fqn);
  return member === undefined ? 'any' : `object ${shortName(fqn)} with ${member}${makersOf(fqn)}`;
}

/** Of our own: those of the CDK may have more in a newer one. */
function valuesOf(fqn: string): string {
  if (!fqn.startsWith(OURS)) return '';
  const source = sourceOf(fqn);
  const body = new RegExp(`enum ${types[fqn].name} \\{([^}]*)\\}`).exec(source)?.[1] ?? '';
  return `: ${[...body.matchAll(/= '([^']*)'/g)].map(([, value]) => value).join(' ')}`;
}

/** Something that only such an object has: its own first property or method, or of a class of ours an internal one. */
function memberOf(fqn: string): string | undefined {
  const { properties = [], methods = [], interfaces = [], base, name } = types[fqn];
  const own = [...properties, ...methods].find(member => !member.static && !('optional' in member))?.name;
  if (own !== undefined) return own;
  if (fqn.startsWith(OURS) && types[fqn].kind === 'class') {
    const body = sourceOf(fqn).split(new RegExp(`class ${name}\\b`))[1] ?? '';
    const internal = /\b(_\w+)\b(?=[?!]?[:(= ])/.exec(body)?.[1];
    if (internal !== undefined) return internal;
  }
  return [...interfaces, ...(base === undefined ? [] : [base])]
    .map(memberOf)
    .find(found => found !== undefined);
}

/** The statics that make one, for the error. */
function makersOf(fqn: string): string {
  if (!fqn.startsWith(OURS) || types[fqn].kind !== 'class') return '';
  const makers = (types[fqn].methods ?? []).filter(
    method => method.static && method.returns?.type.fqn === fqn,
  );
  return makers.length === 0 ? '' : ` from ${makers.map(({ name }) => name).join(' ')}`;
}

function sourceOf(fqn: string): string {
  return readFileSync(path.join(ROOT, types[fqn].locationInModule!.filename), 'utf8');
}

const tableOf = (fields: readonly Parameter[]) =>
  Object.fromEntries(
    fields
      .map(({ name, type, optional }) => [`${name}${optional ? '?' : ''}`, encode(type)] as const)
      .sort(([a], [b]) => a.localeCompare(b)),
  );

const table: Record<string, Record<string, string>> = {};
for (const [fqn, { kind, name, methods = [] }] of Object.entries(types)) {
  if (!fqn.startsWith(OURS)) continue;
  if (isStruct(fqn)) structs.add(fqn);
  if (kind !== 'class') continue;
  for (const method of methods) {
    const parameters = (method.parameters ?? []).filter(({ type }) => type.fqn !== 'constructs.Construct');
    if (method.static && parameters.length > 0) table[`${name}.${method.name}`] = tableOf(parameters);
  }
}
for (const fqn of structs) table[shortName(fqn)] = tableOf(fieldsOf(fqn)); // grows while it is walked through
const sorted = Object.fromEntries(Object.entries(table).sort(([a], [b]) => a.localeCompare(b)));

const text = `/** Written by \`npx projen prop-types\`: what each prop, and each argument of a static, must be. */
export const PROP_TYPES: Record<string, Record<string, string>> = ${JSON.stringify(sorted, undefined, 2)};
`;
if (process.argv.includes('--check')) {
  const evaluate = (source: string) => source.replace(/[\s'",]/g, '');
  if (evaluate(readFileSync(FILE, 'utf8')) !== evaluate(text)) {
    process.stderr.write(
      'src/shared/prop-types.ts is not current: run `npx projen compile && npx projen prop-types`\n',
    );
    process.exitCode = 1;
  }
} else {
  writeFileSync(FILE, text);
}
