import type { Template } from 'aws-cdk-lib/assertions';
import type { PolicyDocument, Statement } from 'cdk-localhost/iam/evaluate';

/** Where a stack of a test is deployed. */
export interface Place {
  readonly partition: string;
  readonly region: string;
  readonly urlSuffix: string;
}

export const PLACES: Place[] = [
  { partition: 'aws', region: 'us-east-1', urlSuffix: 'amazonaws.com' },
  { partition: 'aws-us-gov', region: 'us-gov-west-1', urlSuffix: 'amazonaws.com' },
  { partition: 'aws-cn', region: 'cn-north-1', urlSuffix: 'amazonaws.com.cn' },
];
export const ACCOUNT = '123456789012';

/** A function's role with what it may do, every reference replaced by an ARN that looks like AWS's. */
export interface Role {
  readonly id: string;
  readonly policies: PolicyDocument[];
}

interface Resource {
  readonly Type: string;
  readonly Properties?: Record<string, unknown>;
}

/** Of every role that a Lambda function of the template has. */
export function functionRoles(template: Template, place: Place): Role[] {
  const { Resources } = template.toJSON() as { Resources: Record<string, Resource> };
  const resolve = resolver(Resources, place);
  const ofType = (type: string) => Object.entries(Resources).filter(([, { Type }]) => Type === type);
  const roles = new Set(
    ofType('AWS::Lambda::Function').map(
      ([, { Properties }]) => (Properties!.Role as { 'Fn::GetAtt': string[] })['Fn::GetAtt'][0],
    ),
  );
  return [...roles].map(id => ({
    id,
    policies: ofType('AWS::IAM::Policy')
      .filter(([, { Properties }]) => (Properties!.Roles as { Ref: string }[]).some(({ Ref }) => Ref === id))
      .map(([, { Properties }]) => resolve(Properties!.PolicyDocument) as PolicyDocument),
  }));
}

export const statementsOf = ({ policies }: Role): Statement[] =>
  policies.flatMap(({ Statement: list }) => list as Statement | Statement[]);

export const listOf = <T>(value: T | readonly T[] | undefined): readonly T[] =>
  value === undefined ? [] : Array.isArray(value) ? value : [value as T];

/** What `Fn::GetAtt … Arn` (or a `Ref` that is an ARN) stands for, by resource type. */
const ARN_OF: Record<string, (id: string) => string> = {
  'AWS::DynamoDB::Table': id => `dynamodb:R:A:table/${id}`,
  'AWS::Events::EventBus': id => `events:R:A:event-bus/${id}`,
  'AWS::KMS::Key': id => `kms:R:A:key/${id}`,
  'AWS::Lambda::Function': id => `lambda:R:A:function:${id}`,
  'AWS::Lambda::LayerVersion': id => `lambda:R:A:layer:${id}:1`,
  'AWS::Lambda::Version': id => `lambda:R:A:function:${id}:1`,
  'AWS::Logs::LogGroup': id => `logs:R:A:log-group:${id}:*`,
  'AWS::S3::Bucket': id => `s3:::${id.toLowerCase()}`,
  'AWS::SQS::Queue': id => `sqs:R:A:${id}`,
  'AWS::SecretsManager::Secret': id => `secretsmanager:R:A:secret:${id}-a1B2c3`,
  'AWS::CodeCommit::Repository': id => `codecommit:R:A:${id}`,
  'AWS::IAM::Role': id => `iam::A:role/${id}`,
};
const REF_IS_ARN = ['AWS::SecretsManager::Secret', 'AWS::Lambda::LayerVersion', 'AWS::Lambda::Version'];

function resolver(resources: Record<string, Resource>, place: Place): (value: unknown) => unknown {
  const { partition, region, urlSuffix } = place;
  const pseudo: Record<string, string> = {
    'AWS::Partition': partition,
    'AWS::Region': region,
    'AWS::AccountId': ACCOUNT,
    'AWS::URLSuffix': urlSuffix,
    'AWS::StackId': `arn:${partition}:cloudformation:${region}:${ACCOUNT}:stack/Test/5f0c2a90-0000-0000-0000-000000000000`,
  };
  const arnOf = (id: string) => {
    const make = ARN_OF[resources[id].Type];
    if (!make) throw new Error(`ARN_OF of this file does not know ${resources[id].Type}`);
    return `arn:${partition}:${make(id).replace(':R:', `:${region}:`).replace(':A:', `:${ACCOUNT}:`)}`;
  };
  return function resolve(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(resolve);
    if (typeof value !== 'object' || value === null) return value;
    const [[name, argument], ...others] = Object.entries(value);
    if (others.length === 0) {
      if (name === 'Ref') {
        const id = argument as string;
        return pseudo[id] ?? (REF_IS_ARN.includes(resources[id]?.Type) ? arnOf(id) : id);
      }
      if (name === 'Fn::GetAtt') {
        const [id, attribute] = argument as string[];
        return attribute === 'Name' ? id : arnOf(id);
      }
      if (name === 'Fn::Join') {
        const [separator, parts] = argument as [string, unknown[]];
        return parts.map(resolve).join(separator);
      }
      if (name === 'Fn::Select') {
        const [index, list] = argument as [number, unknown];
        return (resolve(list) as string[])[index];
      }
      if (name === 'Fn::Split') {
        const [separator, text] = argument as [string, unknown];
        return (resolve(text) as string).split(separator);
      }
      if (name.startsWith('Fn::')) throw new Error(`This file does not resolve ${name}`);
    }
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolve(item)]));
  };
}
