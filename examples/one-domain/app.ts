import { App, CfnOutput, Stack, type StackProps } from 'aws-cdk-lib';
import * as apigwv2 from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpJwtAuthorizer } from 'aws-cdk-lib/aws-apigatewayv2-authorizers';
import * as acm from 'aws-cdk-lib/aws-certificatemanager';
import type { Construct } from 'constructs';
import { BirthdayApi, UniqueCodeTable } from '../../src';

/** Two blocks behind one domain, each below a path of its own, and a third that joins an API of yours. */
export class OneDomainStack extends Stack {
  public constructor(scope: Construct, id: string, props?: StackProps) {
    super(scope, id, props);
    const existing = new apigwv2.DomainName(this, 'Domain', {
      domainName: 'api.example.com',
      certificate: new acm.Certificate(this, 'Certificate', { domainName: 'api.example.com' }),
    });
    const authorizer = new HttpJwtAuthorizer('Staff', 'https://login.example.com', {
      jwtAudience: ['staff'],
    });

    const birthdays = new BirthdayApi(this, 'Birthdays', {
      domain: { existing, mappingKey: 'birthdays' },
      authorizer,
      authorizationScopes: ['birthdays'],
      routeThrottle: { 'PUT /hello/{user}': { rateLimit: 10, burstLimit: 20 } },
    });
    const codes = new UniqueCodeTable(this, 'Codes', {
      httpApi: { domain: { existing, mappingKey: 'codes/v1' }, authorizer, authorizationScopes: ['codes'] },
    });
    new CfnOutput(this, 'BirthdaysUrl', { value: birthdays.url });
    new CfnOutput(this, 'CodesUrl', { value: `${codes.url}/codes` });

    const httpApi = new apigwv2.HttpApi(this, 'Api');
    const more = new UniqueCodeTable(this, 'Vouchers', {
      httpApi: { httpApi, basePath: '/vouchers', authorizer },
    });
    new CfnOutput(this, 'VouchersUrl', { value: `${more.url}/codes` });
  }
}

if (require.main === module) {
  const app = new App();
  new OneDomainStack(app, 'OneDomain');
  app.synth();
}
