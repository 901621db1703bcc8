import { App, Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { createDestinationFunction, platform, type RecipeOptions } from './recipe';
import { RecordMapping, WebhookDestination, WebhookRunner } from '../../src';

export interface RedshiftDataOptions extends RecipeOptions {
  readonly workgroupName?: string;
  /** The last part of the workgroup's ARN. */
  readonly workgroupId?: string;
  readonly database?: string;
  readonly table?: string;
}

/**
 * A row for each record, in a table that is made once:
 *
 *     CREATE TABLE audience.members (batch_key VARCHAR(64), record_number BIGINT, record SUPER) SORTKEY (batch_key);
 *
 * Put `username` and `password` of a database user into the secret; it needs SELECT, INSERT and DELETE on
 * that table, nothing else.
 *
 * @see https://docs.aws.amazon.com/redshift/latest/mgmt/data-api.html
 */
export function addRedshiftData(stack: Stack, options: RedshiftDataOptions = {}): WebhookRunner {
  return new WebhookRunner(stack, 'RedshiftData', {
    ...platform(stack, 'RedshiftData', options),
    destination: options.dryRun
      ? WebhookDestination.none()
      : WebhookDestination.lambda(createFunction(stack, options)),
    mapping: RecordMapping.all().fromRequest('audience', 'label_name'),
    batchSize: 39, // 40 statements a batch, and one of them deletes
    maxBatchBytes: 60_000, // 100 KB of a statement, 65,535 bytes of a text that JSON_PARSE takes
  });
}

function createFunction(stack: Stack, options: RedshiftDataOptions): lambda.Function {
  const {
    workgroupName = 'analytics',
    workgroupId = '00000000-0000-0000-0000-000000000000',
    database = 'dev',
    table = 'audience.members',
  } = options;
  const login = new secretsmanager.Secret(stack, 'RedshiftDataLogin', {
    generateSecretString: {
      secretStringTemplate: '{"username":"webhook_runner"}',
      generateStringKey: 'password',
      excludePunctuation: true,
    },
  });
  return createDestinationFunction(stack, 'RedshiftDataFunction', {
    description: 'Inserts records with the Redshift Data API',
    file: 'redshift-data',
    environment: {
      WORKGROUP_NAME: workgroupName,
      DATABASE: database,
      SECRET_ARN: login.secretArn,
      TABLE: table,
    },
    permissions: [
      new iam.PolicyStatement({
        actions: ['redshift-data:BatchExecuteStatement'],
        resources: [
          stack.formatArn({
            service: 'redshift-serverless',
            resource: 'workgroup',
            resourceName: workgroupId,
          }),
        ],
      }),
      new iam.PolicyStatement({
        // these have no resource: they are limited to the caller's own statements
        actions: ['redshift-data:DescribeStatement', 'redshift-data:CancelStatement'],
        resources: ['*'],
        conditions: { StringEquals: { 'redshift-data:statement-owner-iam-userid': '${aws:userid}' } },
      }),
      new iam.PolicyStatement({ actions: ['secretsmanager:GetSecretValue'], resources: [login.secretArn] }),
    ],
  });
}

if (require.main === module) addRedshiftData(new Stack(new App(), 'RedshiftDataRecipe'));
