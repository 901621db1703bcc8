import * as path from 'node:path';
import { App, Stack } from 'aws-cdk-lib';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { platform, type RecipeOptions } from './recipe';
import { DestinationAuth, RecordMapping, WebhookDestination, WebhookRunner } from '../../src';

export interface DataverseOptions extends RecipeOptions {
  /** The environment's URL. */
  readonly organizationUrl?: string;
  /** The directory (tenant) id of the app registration. */
  readonly directoryId?: string;
  /** Where tokens come from, for a run on localhost. */
  readonly loginUrl?: string;
}

/**
 * Creates or updates a contact for each record, a hundred in a request, by an alternate key of the table
 * (dataverse/map.js names it).
 *
 * Put `clientId` and `clientSecret` of an app registration into the secret; its application user needs the
 * privileges to create and write contacts, no others.
 *
 * @see https://learn.microsoft.com/power-apps/developer/data-platform/bulk-operations
 * @see https://learn.microsoft.com/power-apps/developer/data-platform/api-limits
 */
export function addDataverse(stack: Stack, options: DataverseOptions = {}): WebhookRunner {
  const {
    organizationUrl = 'https://example.crm.dynamics.com',
    directoryId = '00000000-0000-0000-0000-000000000000',
    dryRun,
  } = options;
  const client = new secretsmanager.Secret(stack, 'DataverseClient', {
    generateSecretString: {
      secretStringTemplate: '{"clientId":""}',
      generateStringKey: 'clientSecret',
      excludePunctuation: true,
    },
  });
  return new WebhookRunner(stack, 'Dataverse', {
    ...platform(stack, 'Dataverse', options),
    destination: dryRun
      ? WebhookDestination.none()
      : WebhookDestination.http({
          url: `${organizationUrl}/api/data/v9.2/contacts/Microsoft.Dynamics.CRM.UpsertMultiple`,
          headers: {
            Accept: 'application/json',
            'OData-MaxVersion': '4.0',
            'OData-Version': '4.0',
            'If-None-Match': 'null',
          },
          auth: DestinationAuth.oauth2(client, {
            tokenUrl: `${options.loginUrl ?? 'https://login.microsoftonline.com'}/${directoryId}/oauth2/v2.0/token`,
            scope: `${organizationUrl}/.default`,
            credentialsInBody: true,
          }),
          dataKey: 'Targets',
        }),
    mapping: RecordMapping.module(path.join(__dirname, 'dataverse', 'map.js')),
    batchSize: 100, // one bad record rolls all of its request back
    requestsPerMinute: 600, // half of the 6,000 in five minutes that a user may send
  });
}

if (require.main === module) addDataverse(new Stack(new App(), 'DataverseRecipe'));
