/**
 * A stand-in for Secrets Manager: get, put and describe, with versions, their stages, and moving a stage.
 * It has no rotation, no replication and no resource policies.
 * https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html
 */
import { createHash, randomUUID } from 'node:crypto';
import type * as http from 'node:http';
import { type Context, type Resource, type Service, unknownAttribute } from '../../service';
import { listen, readBody, type RunningServer } from '../../util/server';
import { answerError, answerJson, notImplemented, operationOf, ServiceError } from '../aws-json';

interface Version {
  readonly id: string;
  readonly value: { readonly SecretString?: string; readonly SecretBinary?: string };
  readonly created: number;
  stages: string[];
}

interface Secret {
  readonly arn: string;
  readonly name: string;
  readonly versions: Version[];
}

interface Body {
  SecretId?: string;
  SecretString?: string;
  SecretBinary?: string;
  ClientRequestToken?: string;
  VersionStage?: string;
  VersionStages?: string[];
  VersionId?: string;
  MoveToVersionId?: string;
  RemoveFromVersionId?: string;
}

const CURRENT = 'AWSCURRENT';
const PREVIOUS = 'AWSPREVIOUS';
const OPERATIONS = ['GetSecretValue', 'PutSecretValue', 'DescribeSecret', 'UpdateSecretVersionStage'];

export class SecretsManager implements Service {
  public readonly types = ['AWS::SecretsManager::Secret'];
  public readonly endpoint = { name: 'secretsManager', url: () => this.server.url };
  private server!: RunningServer;
  private readonly secrets: Secret[] = [];

  public constructor(private readonly context: Context) {}

  public async start(): Promise<void> {
    this.server = await listen((request, response) => this.serve(request, response));
  }

  public ref(resource: Resource): string {
    const name = secretName(resource);
    // Like the real service's, an ARN ends in six characters that do not follow from the name.
    const suffix = createHash('sha256')
      .update(name)
      .digest('base64url')
      .replace(/[^A-Za-z0-9]/g, 'x')
      .slice(0, 6);
    return this.context.arn('secretsmanager', `secret:${name}-${suffix}`);
  }

  public attribute(resource: Resource, name: string): unknown {
    if (name === 'Id') return this.ref(resource);
    throw unknownAttribute(resource, name);
  }

  public async create(resource: Resource): Promise<void> {
    const properties = resource.resolve(resource.properties) as SecretProperties;
    const secret: Secret = { arn: this.ref(resource), name: secretName(resource), versions: [] };
    const SecretString = properties.SecretString ?? generate(properties.GenerateSecretString ?? {});
    addVersion(secret, { SecretString });
    this.secrets.push(secret);
  }

  /** Sets a value, as a person does by hand after a deployment. */
  public put(name: string, value: string): void {
    const secret = this.secrets.find(candidate => candidate.name === name);
    if (!secret) {
      throw new Error(
        `There is no secret ${name}. There are: ${this.secrets.map(candidate => candidate.name).join(', ')}`,
      );
    }
    addVersion(secret, { SecretString: value });
  }

  public async stop(): Promise<void> {
    await this.server?.close();
  }

  private async serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const operation = operationOf(request);
    try {
      const body = JSON.parse((await readBody(request)).toString('utf8') || '{}') as Body;
      if (!OPERATIONS.includes(operation)) {
        throw notImplemented('Secrets Manager', operation);
      }
      const secret = this.secrets.find(({ arn, name }) =>
        [arn, name, arn.slice(0, -'-123456'.length)].includes(String(body.SecretId)),
      );
      await this.context.iam.authorize(
        request.headers,
        `secretsmanager:${operation}`,
        secret?.arn ?? String(body.SecretId),
      );
      if (!secret) {
        throw new ServiceError(
          'ResourceNotFoundException',
          "Secrets Manager can't find the specified secret.",
        );
      }
      answerJson(response, 200, run(operation, secret, body), '1.1');
    } catch (error) {
      answerError(response, error);
    }
  }
}

function run(operation: string, secret: Secret, body: Body): object {
  const { arn: ARN, name: Name, versions } = secret;
  switch (operation) {
    case 'GetSecretValue': {
      const version = find(secret, body);
      const { id: VersionId, stages: VersionStages, created: CreatedDate, value } = version;
      return { ARN, Name, VersionId, VersionStages, CreatedDate, ...value };
    }
    case 'PutSecretValue': {
      const { id: VersionId, stages: VersionStages } = put(secret, body);
      return { ARN, Name, VersionId, VersionStages };
    }
    case 'UpdateSecretVersionStage': {
      moveStage(secret, body);
      return { ARN, Name };
    }
    default: {
      const staged = versions.filter(({ stages }) => stages.length > 0);
      return {
        ARN,
        Name,
        VersionIdsToStages: Object.fromEntries(staged.map(({ id, stages }) => [id, stages])),
      };
    }
  }
}

/** The version of an id, of a stage, or of both; without either the current one. */
function find({ versions }: Secret, { VersionId, VersionStage }: Body): Version {
  const stage = VersionStage ?? (VersionId === undefined ? CURRENT : undefined);
  const found = versions.find(
    ({ id, stages }) =>
      (VersionId === undefined || id === VersionId) && (stage === undefined || stages.includes(stage)),
  );
  if (found) return found;
  const what = VersionId === undefined ? `staging label: ${stage}` : `VersionId: ${VersionId}`;
  throw new ServiceError(
    'ResourceNotFoundException',
    `Secrets Manager can't find the specified secret value for ${what}`,
  );
}

function put(secret: Secret, body: Body): Version {
  const { SecretString, SecretBinary, ClientRequestToken: token, VersionStages } = body;
  if ((SecretString === undefined) === (SecretBinary === undefined)) {
    throw new ServiceError(
      'InvalidParameterException',
      'You must provide either SecretString or SecretBinary.',
    );
  }
  if ((SecretString ?? SecretBinary) === '') {
    throw new ServiceError('InvalidParameterException', 'The value of a secret must not be empty.');
  }
  if (token !== undefined && (token.length < 32 || token.length > 64)) {
    throw new ServiceError('InvalidParameterException', 'ClientRequestToken must be 32-64 characters long.');
  }
  const value = SecretString === undefined ? { SecretBinary } : { SecretString };
  const same = secret.versions.find(({ id }) => id === token);
  if (same && JSON.stringify(same.value) === JSON.stringify(value)) return same;
  if (same) {
    throw new ServiceError(
      'ResourceExistsException',
      `The operation failed because the version ${token} already exists with another value.`,
    );
  }
  return addVersion(secret, value, VersionStages, token);
}

function addVersion(
  secret: Secret,
  value: Version['value'],
  stages: readonly string[] = [CURRENT],
  id: string = randomUUID(),
): Version {
  const version: Version = { id, value, created: Date.now() / 1000, stages: [] };
  secret.versions.unshift(version);
  for (const stage of stages) attach(secret, stage, version);
  return version;
}

/** A stage belongs to one version at a time; the version that loses AWSCURRENT becomes the previous one. */
function attach({ versions }: Secret, stage: string, to: Version): void {
  const from = versions.find(({ stages }) => stages.includes(stage));
  if (from === to) return;
  if (from) from.stages = from.stages.filter(name => name !== stage);
  to.stages = [...to.stages.filter(name => stage !== CURRENT || name !== PREVIOUS), stage];
  if (stage === CURRENT && from) attach({ versions } as Secret, PREVIOUS, from);
}

function moveStage(secret: Secret, { VersionStage, MoveToVersionId, RemoveFromVersionId }: Body): void {
  if (VersionStage === undefined) {
    throw new ServiceError('InvalidParameterException', 'You must provide VersionStage.');
  }
  const holder = secret.versions.find(({ stages }) => stages.includes(VersionStage));
  if (holder && holder.id !== MoveToVersionId && holder.id !== RemoveFromVersionId) {
    throw new ServiceError(
      'InvalidParameterException',
      `The staging label ${VersionStage} is attached to the version ${holder.id}: name it as RemoveFromVersionId.`,
    );
  }
  if (MoveToVersionId !== undefined) {
    attach(secret, VersionStage, find(secret, { VersionId: MoveToVersionId }));
  } else if (VersionStage === CURRENT) {
    throw new ServiceError('InvalidParameterException', `You can only move the staging label ${CURRENT}.`);
  } else if (holder) {
    holder.stages = holder.stages.filter(name => name !== VersionStage);
  }
}

interface SecretProperties {
  SecretString?: string;
  GenerateSecretString?: {
    SecretStringTemplate?: string;
    GenerateStringKey?: string;
    PasswordLength?: number;
  };
}

function generate({
  SecretStringTemplate,
  GenerateStringKey,
  PasswordLength = 32,
}: NonNullable<SecretProperties['GenerateSecretString']>): string {
  const password = (randomUUID() + randomUUID()).replace(/-/g, '').slice(0, PasswordLength);
  if (!SecretStringTemplate || !GenerateStringKey) return password;
  return JSON.stringify({ ...(JSON.parse(SecretStringTemplate) as object), [GenerateStringKey]: password });
}

function secretName({ properties, name }: Resource): string {
  return typeof properties.Name === 'string' ? properties.Name : name;
}
