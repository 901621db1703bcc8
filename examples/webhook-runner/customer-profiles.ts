import { App, Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import { createDestinationFunction, platform, type RecipeOptions } from './recipe';
import { RecordMapping, WebhookDestination, WebhookRunner } from '../../src';

export interface CustomerProfilesOptions extends RecipeOptions {
  readonly domainName?: string;
  /** An object type with a UNIQUE key, so that a record that comes again replaces itself. */
  readonly objectTypeName?: string;
}

/**
 * An object for each record, in a domain of Connect Customer Profiles. The object type says which fields go
 * into which profile.
 *
 * @see https://docs.aws.amazon.com/connect/latest/APIReference/API_connect-customer-profiles_PutProfileObject.html
 */
export function addCustomerProfiles(stack: Stack, options: CustomerProfilesOptions = {}): WebhookRunner {
  return new WebhookRunner(stack, 'CustomerProfiles', {
    ...platform(stack, 'CustomerProfiles', options),
    destination: options.dryRun
      ? WebhookDestination.none()
      : WebhookDestination.lambda(createFunction(stack, options)),
    mapping: RecordMapping.all().fromRequest('audience', 'label_name'),
    batchSize: 20, // one after the other, each a request of its own
    requestsPerMinute: 60, // so at most 20 objects a second: fit it to your account's quota
  });
}

function createFunction(stack: Stack, options: CustomerProfilesOptions): lambda.Function {
  const { domainName = 'customers', objectTypeName = 'AudienceMember' } = options;
  const domain = `domains/${domainName}`;
  return createDestinationFunction(stack, 'CustomerProfilesFunction', {
    description: 'Puts objects into Customer Profiles',
    file: 'customer-profiles',
    environment: { DOMAIN_NAME: domainName, OBJECT_TYPE_NAME: objectTypeName },
    permissions: [
      new iam.PolicyStatement({
        actions: ['profile:PutProfileObject'],
        resources: [domain, `${domain}/object-types/${objectTypeName}`].map(resource =>
          stack.formatArn({ service: 'profile', resource }),
        ),
      }),
    ],
  });
}

if (require.main === module) addCustomerProfiles(new Stack(new App(), 'CustomerProfilesRecipe'));
