import { App, CfnOutput, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { BirthdayApi } from '../../src';

/** The smallest app with a birthday API. In an app of your own, import from 'cdk-serverless-blocks'. */
export class BirthdayStack extends Stack {
  public constructor(scope: Construct, id: string, props?: StackProps) {
    super(scope, id, props);
    const birthdays = new BirthdayApi(this, 'Birthdays', {
      timeZone: 'Europe/Madrid',
      removalPolicy: RemovalPolicy.DESTROY, // an example may forget its birthdays
    });
    new CfnOutput(this, 'BirthdayApiUrl', { value: birthdays.url });
  }
}

if (require.main === module) new BirthdayStack(new App(), 'BirthdayExample');
