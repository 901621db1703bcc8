/**
 * An app of a stranger: three of AWS's public serverless patterns, written anew, as their authors write them. Nothing in it knows
 * that it runs on localhost.
 *
 * https://serverlessland.com/patterns/apigw-http-api-lambda-dynamodb-cdk · https://serverlessland.com/patterns/sqs-lambda-cdk
 * https://serverlessland.com/patterns/eventbridge-lambda-cdk
 */
const path = require('node:path');
const { App, CfnOutput, Duration, RemovalPolicy, Stack } = require('aws-cdk-lib');
const { HttpApi, HttpMethod } = require('aws-cdk-lib/aws-apigatewayv2');
const { HttpLambdaIntegration } = require('aws-cdk-lib/aws-apigatewayv2-integrations');
const { AttributeType, BillingMode, Table } = require('aws-cdk-lib/aws-dynamodb');
const { EventBus, Rule } = require('aws-cdk-lib/aws-events');
const { LambdaFunction } = require('aws-cdk-lib/aws-events-targets');
const { Code, Function, Runtime, Tracing } = require('aws-cdk-lib/aws-lambda');
const { SqsEventSource } = require('aws-cdk-lib/aws-lambda-event-sources');
const { RetentionDays } = require('aws-cdk-lib/aws-logs');
const { Queue } = require('aws-cdk-lib/aws-sqs');

const inFile = file => ({
  runtime: Runtime.NODEJS_22_X,
  code: Code.fromAsset(path.join(__dirname, 'functions')),
  handler: `${file}.handler`,
  timeout: Duration.seconds(10),
  tracing: Tracing.ACTIVE,
  logRetention: RetentionDays.ONE_WEEK,
});

class ItemsStack extends Stack {
  constructor(scope, id, props) {
    super(scope, id, props);
    const table = new Table(this, 'Items', {
      partitionKey: { name: 'id', type: AttributeType.STRING },
      billingMode: BillingMode.PAY_PER_REQUEST,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const fn = new Function(this, 'ItemsFunction', {
      ...inFile('items'),
      environment: {
        TABLE_NAME: table.tableName,
        BUS_NAME: props.bus.eventBusName,
        QUEUE_URL: props.queue.queueUrl,
      },
    });
    table.grantReadWriteData(fn);
    props.queue.grantSendMessages(fn);
    props.bus.grantPutEventsTo(fn);
    const api = new HttpApi(this, 'HttpApi', { apiName: 'items' });
    const integration = new HttpLambdaIntegration('Integration', fn);
    api.addRoutes({ path: '/items', methods: [HttpMethod.GET, HttpMethod.POST], integration });
    api.addRoutes({ path: '/items/{id}', methods: [HttpMethod.GET, HttpMethod.DELETE], integration });
    new CfnOutput(this, 'HttpApi URL', { value: api.url });
  }
}

class MessagingStack extends Stack {
  constructor(scope, id, props) {
    super(scope, id, props);
    this.bus = new EventBus(this, 'Bus', { eventBusName: 'orders' });
    this.queue = new Queue(this, 'Queue', {
      visibilityTimeout: Duration.seconds(60),
      deadLetterQueue: { queue: new Queue(this, 'DeadLetters'), maxReceiveCount: 3 },
    });
    const worker = new Function(this, 'Worker', inFile('worker'));
    worker.addEventSource(new SqsEventSource(this.queue, { batchSize: 5, reportBatchItemFailures: true }));
    const audit = new Function(this, 'Audit', inFile('audit'));
    new Rule(this, 'LargeOrders', {
      eventBus: this.bus,
      eventPattern: { source: ['shop'], detail: { price: [{ numeric: ['>=', 100] }] } },
      targets: [new LambdaFunction(audit, { retryAttempts: 2 })],
    });
  }
}

const app = new App();
const { bus, queue } = new MessagingStack(app, 'Messaging');
new ItemsStack(app, 'ItemsApi', { bus, queue });
app.synth();
