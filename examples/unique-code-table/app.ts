import { App, CfnOutput, Duration, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import { HttpIamAuthorizer } from 'aws-cdk-lib/aws-apigatewayv2-authorizers';
import { EventBus } from 'aws-cdk-lib/aws-events';
import { SqsQueue } from 'aws-cdk-lib/aws-events-targets';
import { Queue } from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { CodeAlphabet, CodeFormat, CodeIndex, CodeVerb, UniqueCodeTable } from '../../src';

/**
 * Vouchers that people read and type: groups, no letters that look alike, a check character; redeemed once,
 * with a record of who did.
 */
export class VoucherStack extends Stack {
  public constructor(scope: Construct, id: string, props?: StackProps) {
    super(scope, id, props);
    const vouchers = new UniqueCodeTable(this, 'Vouchers', {
      format: CodeFormat.of({
        alphabet: CodeAlphabet.CROCKFORD_BASE32,
        length: 11,
        groupSize: 4,
        checkCharacter: true,
        prefix: 'V-',
      }),
      expectedCodes: 1_000_000,
      timeToLive: Duration.days(365),
      verbs: [CodeVerb.VALIDATE, CodeVerb.REDEEM, CodeVerb.ROLL_BACK, CodeVerb.REVOKE, CodeVerb.LIST],
      indexes: [CodeIndex.REFERENCE],
      eventBus: EventBus.fromEventBusName(this, 'EventBus', 'default'),
      httpApi: { authorizer: new HttpIamAuthorizer() },
      removalPolicy: RemovalPolicy.DESTROY, // an example may forget its vouchers
    });
    // Every redemption, once or more, into a queue from which points are booked.
    const points = new Queue(this, 'Points', { enforceSSL: true });
    vouchers.onCodeEvent('OnRedeemed', {
      eventPattern: { detailType: ['CodeRedeemed'] },
      target: new SqsQueue(points),
    });
    new CfnOutput(this, 'UniqueCodeTableUrl', { value: vouchers.url! });
  }
}

if (require.main === module) new VoucherStack(new App(), 'VoucherExample');
