/**
 * What the page shows of a system: its parts, what they may reach, and what is in them. Values of secrets are
 * never read.
 */
import { DynamoDb } from '../aws/dynamodb/dynamodb';
import type { Statement } from '../aws/iam/evaluate';
import { Lambda } from '../aws/lambda/lambda';
import { S3 } from '../aws/s3/s3';
import { Sqs } from '../aws/sqs/sqs';
import type { Resource } from '../service';
import type { System } from '../system';

export interface Node {
  readonly id: string;
  readonly kind: 'route' | 'function' | 'table' | 'queue' | 'bucket' | 'bus' | 'rule' | 'secret';
  readonly name: string;
  /** What is shown above it in the map: the construct or stack that it belongs to. */
  readonly group: string;
  readonly arn?: string;
  /** Of its resource, to look up what the template says about it. */
  readonly logicalId?: string;
  /** Of a route: where to send a request. */
  readonly url?: string;
  /** A few words under the name. */
  readonly about?: string;
}

export interface Edge {
  readonly from: string;
  readonly to: string;
}

const KINDS: Record<string, Node['kind']> = {
  'AWS::DynamoDB::Table': 'table',
  'AWS::DynamoDB::GlobalTable': 'table',
  'AWS::SQS::Queue': 'queue',
  'AWS::S3::Bucket': 'bucket',
  'AWS::Events::EventBus': 'bus',
  'AWS::Events::Rule': 'rule',
  'AWS::SecretsManager::Secret': 'secret',
};
const MAX_ROWS = 100;
const MAX_TEXT = 2_000;

export function viewOf(system: System): { nodes: Node[]; edges: Edge[] } {
  const lambda = system.service(Lambda);
  const nodes: Node[] = [];
  const edges: Edge[] = [];
  for (const { name, url, targets } of system.apis) {
    for (const { route, target } of targets) {
      const id = `${url} ${route}`;
      nodes.push({ id, kind: 'route', name: route, group: groupOf(name), url, about: name });
      const config = lambda.find(target);
      if (config) edges.push({ from: id, to: config.name });
    }
  }
  for (const { name, arn, logicalId, runtime, memoryMiB, timeoutSeconds } of lambda.configs) {
    const about = `${runtime}, ${memoryMiB} MB, ${timeoutSeconds} s`;
    nodes.push({ id: name, kind: 'function', name, group: groupOf(name), arn, logicalId, about });
  }
  for (const resource of system.resources) {
    const kind = KINDS[resource.type];
    const arn = kind && arnOf(system, resource, kind);
    if (!arn) continue;
    const name = kind === 'secret' ? resource.name : (arn.split(/[:/]/).pop() ?? resource.name);
    nodes.push({ id: arn, kind, name, group: groupOf(resource.name), arn, logicalId: resource.logicalId });
  }
  const at = (arn: string) => nodes.find(node => node.arn !== undefined && covers(arn, node.arn));
  for (const resource of system.resources) {
    for (const [from, to] of links(system, resource)) {
      const [source, target] = [lambda.find(from)?.name ?? at(from)?.id, lambda.find(to)?.name ?? at(to)?.id];
      if (source !== undefined && target !== undefined) edges.push({ from: source, to: target });
    }
  }
  for (const { name, roleArn } of lambda.configs) {
    const statements = system.iam.policiesOf(roleArn).flatMap(({ Statement: list }) => list as Statement[]);
    for (const pattern of statements.flatMap(({ Effect, Resource: of }) =>
      Effect === 'Allow' ? [of ?? []].flat() : [],
    )) {
      const node = pattern === '*' ? undefined : at(pattern as string);
      const known = edges.some(
        ({ from, to }) => (from === name && to === node?.id) || (to === name && from === node?.id),
      );
      if (node && node.id !== name && !known) edges.push({ from: name, to: node.id });
    }
  }
  return { nodes, edges };
}

/** What is in a table, queue or bucket, the newest or first hundred; columns are those of the rows. */
export async function contentsOf(
  system: System,
  kind: string,
  name: string,
): Promise<{ total: number; rows: Record<string, unknown>[]; items?: object[] }> {
  switch (kind) {
    case 'table': {
      const items = await system.service(DynamoDb).scan(name, MAX_ROWS);
      return { total: items.length, rows: items.map(plain), items };
    }
    case 'queue': {
      const { contents } = system.service(Sqs).queue(name);
      const rows = contents.slice(0, MAX_ROWS).map(({ id, groupId, body, receiveCount }) => ({
        id,
        ...(groupId !== undefined && { group: groupId }),
        receives: receiveCount,
        body: body.slice(0, MAX_TEXT),
      }));
      return { total: contents.length, rows };
    }
    case 'bucket': {
      const bucket = system.service(S3).bucket(name);
      const keys = bucket.keys('');
      const rows = keys.slice(0, MAX_ROWS).map(key => {
        const { content, lastModified } = bucket.get(key);
        return { key, bytes: content.size, 'last modified': new Date(lastModified).toISOString() };
      });
      return { total: keys.length, rows };
    }
    default:
      return { total: 0, rows: [] };
  }
}

/** What the template says about a resource; without what could be the value of a secret. */
export function resourceOf(system: System, logicalId: string): object | undefined {
  const found = system.resources.find(resource => resource.logicalId === logicalId);
  if (!found) return undefined;
  const { type, name, properties } = found;
  const isSecret = type === 'AWS::SecretsManager::Secret';
  const { SecretString, ...rest } = properties as { SecretString?: unknown };
  const shown = isSecret && SecretString !== undefined ? { ...rest, SecretString: '…' } : properties;
  return { logicalId, type, name, properties: shown };
}

function arnOf(system: System, resource: Resource, kind: Node['kind']): string | undefined {
  const service = system.services.find(({ types }) => types.includes(resource.type));
  return kind === 'secret'
    ? String(service?.ref(resource))
    : (service?.attribute(resource, 'Arn') as string | undefined);
}

/**
 * What a resource joins: a mapping its queue and function, a rule its bus and targets, a queue its
 * dead-letter queue.
 */
function links(system: System, { type, properties, resolve }: Resource): [string, string][] {
  const text = (value: unknown) => String(resolve(value));
  switch (type) {
    case 'AWS::Lambda::EventSourceMapping':
      return [[text(properties.EventSourceArn), text(properties.FunctionName)]];
    case 'AWS::Events::Rule': {
      const resource = system.resources.find(candidate => candidate.properties === properties)!;
      const targets = (resolve(properties.Targets) ?? []) as { Arn: string }[];
      const rule = arnOf(system, resource, 'rule')!;
      return targets.map(({ Arn }) => [rule, Arn]);
    }
    case 'AWS::SQS::Queue': {
      const resource = system.resources.find(candidate => candidate.properties === properties)!;
      const { deadLetterTargetArn } = (resolve(properties.RedrivePolicy) ?? {}) as {
        deadLetterTargetArn?: string;
      };
      return deadLetterTargetArn === undefined
        ? []
        : [[arnOf(system, resource, 'queue')!, deadLetterTargetArn]];
    }
    default:
      return [];
  }
}

/**
 * Whether a pattern of a policy is about a resource: the resource itself, something in it, or with a wildcard
 * behind it.
 */
function covers(pattern: string, arn: string): boolean {
  return pattern === arn || pattern.startsWith(`${arn}/`) || pattern.replace(/[-*?]+$/, '') === arn;
}

function groupOf(name: string): string {
  return name.split('-')[0];
}

/** An item as a person reads it; what is not text or a number keeps DynamoDB's form. */
function plain(item: Record<string, Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(item).map(([name, value]) => {
      const [[type, content]] = Object.entries(value);
      return [name, ['S', 'N', 'BOOL'].includes(type) ? content : JSON.stringify(value)];
    }),
  );
}
