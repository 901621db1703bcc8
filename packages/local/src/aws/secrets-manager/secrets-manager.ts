/**
 * A stand-in for Secrets Manager: get, put and describe, with the stages AWSCURRENT and AWSPREVIOUS.
 * It has no rotation, no replication and no resource policies.
 */
import { createHash, randomUUID } from 'node:crypto';
import type * as http from 'node:http';
import { type Context, type Resource, type Service, unknownAttribute } from '../../service';
import { listen, readBody, type RunningServer } from '../../util/server';
import { answerError, answerJson, notImplemented, operationOf, ServiceError } from '../aws-json';

interface Secret {
  readonly arn: string;
  readonly name: string;
  /** Newest first; the first is AWSCURRENT, the second AWSPREVIOUS. */
  versions: { id: string; value: string; created: number }[];
}

interface Body {
  SecretId?: string;
  SecretString?: string;
  VersionStage?: string;
  VersionId?: string;
}

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
    // Like the real service's, an ARN ends in six characters that the name does not tell.
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
    addVersion(secret, properties.SecretString ?? generate(properties.GenerateSecretString ?? {}));
    this.secrets.push(secret);
  }

  /** Sets a value, as somebody does by hand after a deployment. */
  public put(name: string, value: string): void {
    const secret = this.secrets.find(candidate => candidate.name === name);
    if (!secret) {
      throw new Error(
        `There is no secret ${name}. There are: ${this.secrets.map(candidate => candidate.name).join(', ')}`,
      );
    }
    addVersion(secret, value);
  }

  public async stop(): Promise<void> {
    await this.server?.close();
  }

  private async serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const operation = operationOf(request);
    try {
      const body = JSON.parse((await readBody(request)).toString('utf8') || '{}') as Body;
      if (!['GetSecretValue', 'PutSecretValue', 'DescribeSecret'].includes(operation)) {
        throw notImplemented('Secrets Manager', operation);
      }
      const secret = this.secrets.find(({ arn, name }) => body.SecretId === arn || body.SecretId === name);
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
  const { arn: ARN, name: Name } = secret;
  if (operation === 'GetSecretValue') {
    const index = body.VersionId
      ? secret.versions.findIndex(({ id }) => id === body.VersionId)
      : body.VersionStage === 'AWSPREVIOUS'
        ? 1
        : 0;
    const version = secret.versions[index];
    if (!version) {
      throw new ServiceError(
        'ResourceNotFoundException',
        `Secrets Manager can't find the specified secret value for ${body.VersionId ?? body.VersionStage}.`,
      );
    }
    return {
      ARN,
      Name,
      VersionId: version.id,
      SecretString: version.value,
      VersionStages: stages(index),
      CreatedDate: version.created,
    };
  }
  if (operation === 'PutSecretValue') {
    if (body.SecretString === undefined) {
      throw new ServiceError(
        'InvalidParameterException',
        'You must provide SecretString: the local stand-in keeps text only.',
      );
    }
    return { ARN, Name, VersionId: addVersion(secret, body.SecretString), VersionStages: stages(0) };
  }
  return {
    ARN,
    Name,
    VersionIdsToStages: Object.fromEntries(secret.versions.map(({ id }, index) => [id, stages(index)])),
  };
}

function stages(index: number): string[] {
  return [['AWSCURRENT'], ['AWSPREVIOUS']][index] ?? [];
}

function addVersion(secret: Secret, value: string): string {
  const id = randomUUID();
  secret.versions = [{ id, value, created: Date.now() / 1000 }, ...secret.versions];
  return id;
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
