/**
 * The actions that integration tests see a role use, by test: `expectAllUsed` compares, docs/permissions.md
 * shows it.
 */
export const USED: Record<string, Record<string, string[]>> = {
  'BirthdayApi/PutHandlerRole': {
    'birthday-api': ['dynamodb:PutItem'],
    'birthday-api, with a key': ['dynamodb:PutItem', 'secretsmanager:GetSecretValue'],
  },
  'BirthdayApi/GetHandlerRole': {
    'birthday-api': ['dynamodb:GetItem'],
    'birthday-api, with a key': ['dynamodb:GetItem', 'secretsmanager:GetSecretValue'],
  },
  'BirthdayApi/DeleteHandlerRole': { 'birthday-api': ['dynamodb:DeleteItem'] },
  'BirthdayApi/GetHandlerCheckRole': {
    'birthday-api': ['codedeploy:PutLifecycleEventHookExecutionStatus', 'lambda:InvokeFunction'],
  },
  'UniqueCodeTable/IssueHandlerRole': {
    'unique-code-table': ['dynamodb:PutItem'],
    'unique-code-table-verbs': ['dynamodb:PutItem'],
  },
  'UniqueCodeTable/ImportHandlerRole': { 'unique-code-table-verbs': ['dynamodb:PutItem'] },
  'UniqueCodeTable/ValidateHandlerRole': { 'unique-code-table-verbs': ['dynamodb:GetItem'] },
  'UniqueCodeTable/LookUpHandlerRole': { 'unique-code-table-verbs': ['dynamodb:GetItem'] },
  'UniqueCodeTable/RedeemHandlerRole': { 'unique-code-table-verbs': ['dynamodb:UpdateItem'] },
  'UniqueCodeTable/RollBackHandlerRole': { 'unique-code-table-verbs': ['dynamodb:UpdateItem'] },
  'UniqueCodeTable/RevokeHandlerRole': { 'unique-code-table-verbs': ['dynamodb:UpdateItem'] },
  'UniqueCodeTable/ReinstateHandlerRole': { 'unique-code-table-verbs': ['dynamodb:UpdateItem'] },
  'UniqueCodeTable/ListHandlerRole': { 'unique-code-table-verbs': ['dynamodb:Query'] },
  'UniqueCodeTable/EventsHandlerRole': {
    'unique-code-table-verbs': [
      'dynamodb:DescribeStream',
      'dynamodb:GetRecords',
      'dynamodb:GetShardIterator',
      'dynamodb:ListStreams',
      'events:PutEvents',
      'sqs:SendMessage',
    ],
  },
  'GitPushPipeline/AcceptHandlerRole': {
    'git-push-pipeline': ['secretsmanager:GetSecretValue', 'sqs:SendMessage'],
    codecommit: ['sqs:SendMessage'],
  },
  'GitPushPipeline/WorkHandlerRole': {
    'git-push-pipeline': [
      'events:PutEvents',
      's3:GetObject',
      's3:PutObject',
      'secretsmanager:GetSecretValue',
      'sqs:ChangeMessageVisibility',
      'sqs:DeleteMessage',
      'sqs:GetQueueAttributes',
      'sqs:ReceiveMessage',
      'sqs:SendMessage',
    ],
  },
  'WebhookRunner/AcceptHandlerRole': {
    'webhook-runner': [
      'dynamodb:GetItem',
      'dynamodb:UpdateItem',
      'secretsmanager:GetSecretValue',
      'sqs:SendMessage',
    ],
  },
  'WebhookRunner/RunHandlerRole': {
    'webhook-runner': [
      'dynamodb:GetItem',
      'dynamodb:UpdateItem',
      'events:PutEvents',
      's3:GetObject',
      's3:ListBucket',
      's3:PutObject',
      'secretsmanager:GetSecretValue',
      'sqs:ChangeMessageVisibility',
      'sqs:DeleteMessage',
      'sqs:GetQueueAttributes',
      'sqs:ReceiveMessage',
      'sqs:SendMessage',
    ],
  },
  'CrashReporterLayer/Role': {
    'crash-reporter-layer': ['secretsmanager:GetSecretValue'],
  },
};
