import { type RemovalPolicy, Token } from 'aws-cdk-lib';
import * as apigwv2 from 'aws-cdk-lib/aws-apigatewayv2';
import type * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type * as codedeploy from 'aws-cdk-lib/aws-codedeploy';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import type * as ec2 from 'aws-cdk-lib/aws-ec2';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import { BirthdayApiBase, type BirthdayApiAttributes, type IBirthdayApi } from './birthday-api-base';
import { ENV, EXPORT, PROBE, TABLE, USER_PARAMETER } from './contract';
import { addBlockWidgets, createAlarms, frontRules, functionRules } from '../shared/alarms';
import type { ApiOptions } from '../shared/api-options';
import { createDeploymentTarget } from '../shared/deployment';
import type { DeploymentProbe } from '../shared/deployment-check-contract';
import { connectionsOf, createHandlerFunction, validateHandlerProps } from '../shared/handler-function';
import type { HandlerProps } from '../shared/handler-props';
import { createHttpApi, type HttpFront } from '../shared/http-api';
import type { AlarmOptions, IWatchable } from '../shared/monitoring';
import { grantSecretValue } from '../shared/secret';
import { tableFor, tableKey } from '../shared/table';
import type { TableBilling } from '../shared/table-billing';
import { InvalidPropError, validateInteger, validateNeeds } from '../shared/validate';
import { validateTypes } from '../shared/validate-types';

/**
 * The day on which somebody born on 29 February has a birthday in a common year.
 */
export enum LeapDayBirthday {
  /** The last day of February. */
  FEBRUARY_28 = 'FEBRUARY_28',
  /** The day after the last day of February. */
  MARCH_1 = 'MARCH_1',
}

/**
 * Properties of a `BirthdayApi`.
 */
export interface BirthdayApiProps extends HandlerProps, ApiOptions {
  /**
   * An existing table. Its partition key must be the string attribute `Id`, and it must have no sort key.
   * Cannot be combined with `billing`, `removalPolicy` and `pointInTimeRecovery`, which describe a new one.
   *
   * @default - a new table
   */
  readonly table?: dynamodb.ITable;

  /**
   * How the new table is billed.
   *
   * @default - TableBilling.onDemand()
   */
  readonly billing?: TableBilling;

  /**
   * The KMS key of the new table. With an imported `table`: the key that it is encrypted with.
   * Adds `kms:Decrypt` and `kms:DescribeKey` on that key to both functions' roles, and `kms:Encrypt`,
   * `kms:GenerateDataKey*` and `kms:ReEncrypt*` to the writer's.
   *
   * @see https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
   * @default - the key that DynamoDB owns
   */
  readonly encryptionKey?: kms.IKey;

  /**
   * What happens to the new table, and the birthdays in it, when the construct is removed from the stack.
   *
   * @default RemovalPolicy.RETAIN
   */
  readonly removalPolicy?: RemovalPolicy;

  /**
   * Whether the new table can be restored to any second of the last 35 days.
   *
   * @see https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Point-in-time-recovery.html
   * @default true
   */
  readonly pointInTimeRecovery?: boolean;

  /**
   * The time zone that decides which day is today: an IANA name, for instance `Europe/Madrid`.
   *
   * @see https://www.iana.org/time-zones
   * @default 'UTC'
   */
  readonly timeZone?: string;

  /**
   * When a birthday on 29 February is celebrated in a common year.
   *
   * @default LeapDayBirthday.MARCH_1
   */
  readonly leapDayBirthday?: LeapDayBirthday;

  /**
   * A secret whose value turns the stored hash of a user name into an HMAC.
   *
   * Names are stored only as SHA-256, but whoever reads the table can hash likely names and compare. With a
   * key they cannot. The value is the key, as text of at least 16 bytes; a change takes effect within a
   * minute. Changing it makes the stored birthdays unreachable. Adds `secretsmanager:GetSecretValue` on that
   * secret to both functions' roles, and `kms:Decrypt` on its KMS key where it has one.
   *
   * @see https://www.rfc-editor.org/rfc/rfc2104
   * @default - a plain SHA-256
   */
  readonly hashKey?: secretsmanager.ISecret;

  /**
   * Whether a birthday can be erased: `DELETE /hello/{user}`, by a function that may do nothing else. Needs
   * an `authorizer`: without one, anybody could erase anybody. Point-in-time recovery keeps the erased value
   * for up to 35 days.
   *
   * @default false
   */
  readonly deletion?: boolean;

  /**
   * How CodeDeploy shifts traffic to a new version of the functions, for instance
   * `LambdaDeploymentConfig.CANARY_10PERCENT_5MINUTES`. It rolls back when a new version fails; the alarms
   * for that are made.
   *
   * @see https://docs.aws.amazon.com/codedeploy/latest/userguide/deployment-configurations.html
   * @default - all at once
   */
  readonly gradualDeployment?: codedeploy.ILambdaDeploymentConfig;

  /**
   * Whether a new version of a function is invoked once before it gets any traffic: with a request that
   * changes nothing, by a function that CodeDeploy calls and that may invoke this version alone. Where it
   * does not answer as a healthy version does, the deployment is rolled back before any caller has met it.
   * Needs `gradualDeployment`.
   *
   * @default false
   */
  readonly preTrafficCheck?: boolean;

  /**
   * How many execution environments of each function are kept warm (provisioned concurrency).
   *
   * @see https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html
   * @default - none
   */
  readonly provisionedConcurrentExecutions?: number;
}

/**
 * A birthday greeter: PUT a date of birth, GET a greeting.
 *
 * An HTTP API with one Lambda function per endpoint and a DynamoDB table. The reader may only read from the
 * table, the writer only write to it. User names are not stored, only their hash.
 *
 *     PUT /hello/{user}   {"dateOfBirth":"YYYY-MM-DD"}   204
 *     GET /hello/{user}                                  200 {"message":"Hello, {user}! Your birthday is in N day(s)"}
 *
 * @example
 * import { App, CfnOutput, Stack } from 'aws-cdk-lib';
 * import { BirthdayApi } from 'cdk-serverless-blocks';
 *
 * const stack = new Stack(new App(), 'Greetings');
 * const birthdays = new BirthdayApi(stack, 'Birthdays', { timeZone: 'Europe/Madrid' });
 * new CfnOutput(stack, 'Url', { value: birthdays.url });
 */
export class BirthdayApi extends BirthdayApiBase implements ec2.IConnectable, IWatchable {
  /**
   * A birthday API that another stack has made, in the same account and region.
   *
   * @param scope the scope
   * @param id the id
   * @param attributes what identifies it
   */
  public static fromBirthdayApiAttributes(
    scope: Construct,
    id: string,
    attributes: BirthdayApiAttributes,
  ): IBirthdayApi {
    validateTypes(scope, 'BirthdayApi.fromBirthdayApiAttributes', { id, attributes });
    class Import extends BirthdayApiBase {
      public readonly table = dynamodb.Table.fromTableArn(this, 'Table', attributes.tableArn);
      public readonly url = attributes.url;
      public readonly api = apigwv2.HttpApi.fromHttpApiAttributes(this, 'Api', {
        httpApiId: attributes.httpApiId,
      });
      protected readonly encryptionKey = attributes.encryptionKey;
    }
    return new Import(scope, id);
  }

  /** The HTTP API. */
  public readonly api: apigwv2.IHttpApi;

  /** The API's own domain, where `domain` was given: records can point at its `regionalDomainName`. */
  public readonly domain?: apigwv2.IDomainName;

  /** The table: string partition key `Id` (hash of the user name), attribute `DateOfBirth` (`YYYY-MM-DD`). */
  public readonly table: dynamodb.ITable;

  /** The function behind `PUT /hello/{user}`. */
  public readonly putFunction: lambda.Function;

  /** The function behind `GET /hello/{user}`. (jsii keeps names that begin with `get` for Java's getters.) */
  public readonly greetFunction: lambda.Function;

  /** The function behind `DELETE /hello/{user}`, where there is `deletion`. */
  public readonly deleteFunction?: lambda.Function;

  /** All functions of the block. */
  public readonly functions: lambda.Function[];

  protected readonly encryptionKey?: kms.IKey;
  private readonly front: HttpFront;

  /**
   * @param scope the construct it belongs to, often a stack
   * @param id its name there, a part of every logical id: changing it makes new resources
   * @param props overrides of the defaults
   */
  public constructor(scope: Construct, id: string, props: BirthdayApiProps = {}) {
    super(scope, id);
    validateTypes(this, 'BirthdayApiProps', props);
    this.validateProps(props);
    this.encryptionKey = tableKey(props);
    this.table = tableFor(this, 'Table', TABLE.key, props);

    const environment: Record<string, string> = {
      [ENV.tableName]: this.table.tableName,
      ...(props.hashKey && { [ENV.hashKeySecretArn]: props.hashKey.secretArn }),
    };
    this.putFunction = createHandlerFunction(
      this,
      'PutHandler',
      {
        description: 'Stores a birthday',
        asset: 'birthday-api',
        export: EXPORT.put,
        environment: { ...environment, [ENV.timeZone]: props.timeZone ?? 'UTC' },
      },
      props,
    );
    this.greetFunction = createHandlerFunction(
      this,
      'GetHandler',
      {
        description: 'Greets a user and counts the days to the next birthday',
        asset: 'birthday-api',
        export: EXPORT.get,
        environment: {
          ...environment,
          [ENV.timeZone]: props.timeZone ?? 'UTC',
          [ENV.leapDayBirthday]: props.leapDayBirthday ?? LeapDayBirthday.MARCH_1,
        },
      },
      props,
    );
    if (props.deletion) {
      this.deleteFunction = createHandlerFunction(
        this,
        'DeleteHandler',
        {
          description: 'Erases a birthday',
          asset: 'birthday-api',
          export: EXPORT.delete,
          environment: { ...environment, [ENV.timeZone]: props.timeZone ?? 'UTC' },
        },
        props,
      );
      this.grantDelete(this.deleteFunction);
    }
    this.functions = [
      this.putFunction,
      this.greetFunction,
      ...(this.deleteFunction ? [this.deleteFunction] : []),
    ];
    this.grantWrite(this.putFunction);
    this.grantRead(this.greetFunction);
    if (props.hashKey) {
      for (const fn of this.functions) grantSecretValue(props.hashKey, fn);
    }

    const path = `/hello/{${USER_PARAMETER}}`;
    const route = (
      method: apigwv2.HttpMethod,
      handler: string,
      fn: lambda.Function,
      probe: DeploymentProbe,
    ): { method: apigwv2.HttpMethod; path: string; target: lambda.IFunction } => {
      const { target, check } = createDeploymentTarget(this, handler, fn, props, probe);
      if (check) this.functions.push(check);
      return { method, path, target };
    };
    this.front = createHttpApi(
      this,
      'Api',
      [
        route(apigwv2.HttpMethod.PUT, 'PutHandler', this.putFunction, PROBE.put),
        route(apigwv2.HttpMethod.GET, 'GetHandler', this.greetFunction, PROBE.get),
        ...(this.deleteFunction
          ? [route(apigwv2.HttpMethod.DELETE, 'DeleteHandler', this.deleteFunction, PROBE.delete)]
          : []),
      ],
      props,
    );
    this.api = this.front.api;
    this.domain = this.front.domain;
  }

  /** The address of the API, without a trailing slash: `https://…`. */
  public get url(): string {
    return this.front.url;
  }

  /**
   * The network connections of the functions. Throws where the block has no `vpc`.
   */
  public get connections(): ec2.Connections {
    return connectionsOf(this, this.functions);
  }

  /**
   * Makes this block's alarms, which its page lists. Nothing is watched unless this is called.
   *
   * @param options who is notified, and what is overridden
   */
  public addAlarms(options?: AlarmOptions): cloudwatch.Alarm[] {
    return createAlarms(this, [...frontRules(this.front), ...functionRules(this.functions)], options);
  }

  /**
   * Puts this block's graphs on a dashboard.
   *
   * @param dashboard any dashboard; `BlocksDashboard` makes one over many blocks
   */
  public addWidgets(dashboard: cloudwatch.Dashboard): void {
    addBlockWidgets(this, dashboard, {
      front: this.front,
      functions: this.functions,
      own: {},
    });
  }

  private validateProps(props: BirthdayApiProps): void {
    validateHandlerProps(this, props);
    if (props.preTrafficCheck) {
      validateNeeds(
        this,
        props,
        'preTrafficCheck',
        'gradualDeployment',
        'without it a new version takes over at once, and nothing waits for a check',
      );
    }
    if (props.deletion && !props.authorizer) {
      throw new InvalidPropError(
        this,
        '`deletion` needs an `authorizer`: without one, anybody could erase anybody',
      );
    }
    const { reservedConcurrentExecutions: reserved = 1_000_000 } = props;
    validateInteger(
      this,
      'provisionedConcurrentExecutions',
      props.provisionedConcurrentExecutions,
      1,
      Token.isUnresolved(reserved) ? 1_000_000 : reserved,
    );
    if (props.timeZone !== undefined && !Token.isUnresolved(props.timeZone) && !isTimeZone(props.timeZone)) {
      throw new InvalidPropError(
        this,
        `\`timeZone\` must be an IANA time zone name such as "Europe/Madrid", got "${props.timeZone}"`,
      );
    }
  }
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
