import { App, Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { BirthdayApi, CrashReporterLayer, CrashReporterMode, SentryDsn } from '../../src';

/** A birthday API whose crashes go to Sentry. In an app of your own, import from 'cdk-serverless-blocks'. */
export class CrashReporterStack extends Stack {
  public constructor(scope: Construct, id: string, props?: StackProps) {
    super(scope, id, props);
    new BirthdayApi(this, 'Birthdays');
    const crashes = new CrashReporterLayer(this, 'Crashes', {
      // Put the DSN there by hand, once: it is not in the template.
      dsn: SentryDsn.fromSecretName('sentry/dsn'),
      mode: CrashReporterMode.ERRORS,
      environmentName: 'staging',
      ignore: [{ message: 'socket hang up*' }],
      metrics: true,
    });
    crashes.addToAll(this);
  }
}

if (require.main === module) new CrashReporterStack(new App(), 'CrashReporterExample');
