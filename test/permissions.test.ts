import { readFileSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { App, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { BLOCK_CASES } from './blocks';
import { USED } from './integration/used-grants';
import { ACCOUNT, functionRoles, listOf, PLACES, type Role, statementsOf } from './roles';
import type { Statement } from '../packages/local/src/aws/iam/evaluate';

const PAGE = path.join(__dirname, '..', 'docs', 'permissions.md');
const [PLACE] = PLACES;

/**
 * Why a function may do an action, and who does it where that is not the function's own code. An action
 * without a reason fails.
 */
const WHY: Record<string, string> = {
  'codecommit:GitPull': 'fetches the pushed commit',
  'codedeploy:PutLifecycleEventHookExecutionStatus': 'reports whether the new version may have traffic',
  'dynamodb:DeleteItem': 'deletes what it is asked to delete',
  'dynamodb:DescribeStream': "AWS: Lambda's reader of the stream",
  'dynamodb:GetItem': 'reads one item by its key',
  'dynamodb:GetRecords': "AWS: Lambda's reader of the stream",
  'dynamodb:GetShardIterator': "AWS: Lambda's reader of the stream",
  'dynamodb:ListStreams': "AWS: Lambda's reader of the stream",
  'dynamodb:PutItem': 'writes one item',
  'dynamodb:Query': 'lists items by an index',
  'dynamodb:UpdateItem': 'changes one item on a condition',
  'ec2:*': 'AWS: Lambda makes the network interfaces; denied to the code',
  'events:PutEvents': 'publishes events of its own source only',
  'kms:dynamodb': 'DynamoDB asks for it where the table has a key of its own',
  'kms:s3': 'S3 asks for it where the bucket has a key of its own',
  'kms:secretsmanager': 'Secrets Manager asks for it where the secret has a key of its own',
  'kms:sqs': 'SQS asks for it where the queue has a key of its own',
  'kms:ssm': 'Systems Manager asks for it, to read a SecureString',
  'lambda:InvokeFunction': 'invokes the function that it was given',
  'logs:CreateLogStream': 'AWS: Lambda writes the log',
  'logs:PutLogEvents': 'AWS: Lambda writes the log',
  's3:GetObject': 'reads objects that it was given, or that it may write itself',
  's3:ListBucket': 'lists the failed records that are to be sent again',
  's3:PutObject': 'writes the object',
  'secretsmanager:GetSecretValue': 'reads the value of this one secret',
  'sqs:ChangeMessageVisibility': 'keeps the message that it works on, or gives it back early',
  'sqs:DeleteMessage': "AWS: Lambda's poller",
  'sqs:GetQueueAttributes': "AWS: Lambda's poller",
  'sqs:ReceiveMessage': "AWS: Lambda's poller",
  'sqs:SendMessage': 'puts a message into the queue',
  'ssm:GetParameter': 'reads the value of this one parameter',
  'xray:PutTelemetryRecords': 'AWS: the tracing daemon; X-Ray has no resource to name',
  'xray:PutTraceSegments': 'AWS: the tracing daemon; X-Ray has no resource to name',
};

function whyOf(action: string, { Condition }: Statement): string | undefined {
  const [service] = action.split(':');
  if (service === 'ec2') return WHY['ec2:*'];
  if (service !== 'kms') return WHY[action];
  const via = Condition?.StringLike?.['kms:ViaService'];
  return WHY[`kms:${String(via).replace('.*', '')}`];
}

/** Without what changes with each synth. */
const plain = (text: string) =>
  text
    .replace(/CurrentVersion[0-9A-F]{8}[0-9a-f]{32}/g, 'CurrentVersion')
    .replace(/\b(Block[A-Za-z]*?)[0-9A-F]{8}\b/g, '$1')
    .replace(/blockbucket[0-9a-f]{8}/g, 'bucket');

/** A row of the page: actions that have everything else in common. */
interface Grant {
  readonly actions: string[];
  readonly rest: string;
}

function grantsOf(role: Role): Grant[] {
  const grants = new Map<string, string[]>();
  for (const statement of statementsOf(role)) {
    const resources = listOf(statement.Resource).map(
      arn => `\`${plain(arn.replace(`${PLACE.region}:${ACCOUNT}`, '…'))}\``,
    );
    const condition = statement.Condition ? `\`${JSON.stringify(statement.Condition)}\`` : '';
    for (const action of listOf(statement.Action)) {
      const why = whyOf(action, statement);
      if (why === undefined) {
        throw new Error(`${action} of ${role.id}: say in WHY of ${path.basename(__filename)} what it is for`);
      }
      const denied = statement.Effect === 'Deny' ? '**denied** ' : '';
      const rest = `${denied}${resources.join(' ')} | ${condition} | ${why} |`;
      grants.set(rest, [...(grants.get(rest) ?? []), action]);
    }
  }
  return [...grants].map(([rest, actions]) => ({ actions, rest }));
}

const rolesOf = (create: (typeof BLOCK_CASES)[number]['minimal']) => {
  const stack = new Stack(new App(), 'Test', { env: { region: PLACE.region, account: ACCOUNT } });
  create(stack, 'Block');
  return functionRoles(Template.fromStack(stack), PLACE).map(role => ({
    name: plain(role.id),
    grants: grantsOf(role),
  }));
};

/** The integration tests in which a role called all of these actions. */
function seenBy(block: string, role: string, actions: readonly string[]): string {
  return Object.entries(USED[`${block}/${role}`] ?? {})
    .filter(([, used]) => actions.every(action => used.includes(action)))
    .map(([label]) => label.split(',')[0])
    .filter((label, at, all) => all.indexOf(label) === at)
    .join(', ');
}

/** A table for each function's role, with what the block's smallest form has already marked. */
function sectionOf({ name, minimal, maximal }: (typeof BLOCK_CASES)[number]): string {
  const always = new Map(rolesOf(minimal).map(role => [role.name, role.grants]));
  const tables = rolesOf(maximal).map(role => {
    const title = role.name.replace('Block', '') || 'Role';
    const lines = role.grants.map(({ actions, rest }) => {
      const known = always.get(role.name)?.flatMap(grant => grant.actions) ?? [];
      const when = actions.every(action => known.includes(action)) ? 'always' : 'by a prop';
      return `| ${actions.map(action => `\`${action}\``).join(' ')} | ${when} | ${rest} ${seenBy(name, title, actions)} |`;
    });
    const head = '| actions | when | resource | condition | why | seen used by |\n|---|---|---|---|---|---|';
    return `### ${title}\n\n${head}\n${lines.join('\n')}\n`;
  });
  return `## ${name}\n\n${tables.join('\n')}`;
}

const INTRODUCTION = `# Permissions

What the role of each function may do, from the templates of test/blocks.ts; written by \`npx projen permissions\`. \`always\` is what a
block has with its required props only, \`by a prop\` what \`encryptionKey\`, \`vpc\`, \`tracing\` and others add. \`AWS:\` marks what
Lambda itself does with the role; every other action is called by the function's code, and the integration tests fail on one that is
denied and on one that is never called; \`seen used by\` names the test in test/integration that saw it called (the local runner has no
KMS, network interfaces or tracing). test/attacker.test.ts tries what a thief with this role would.

`;

describe('docs/permissions.md', () => {
  test('lists every grant of every block, each with its reason', () => {
    const page = INTRODUCTION + BLOCK_CASES.map(sectionOf).join('\n');
    if (process.env.WRITE_PERMISSIONS) writeFileSync(PAGE, page);
    expect(readFileSync(PAGE, 'utf8'), 'run `npx projen permissions`').toBe(page);
  });
});
