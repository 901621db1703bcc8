import type { Template } from 'aws-cdk-lib/assertions';

interface Statement {
  readonly Action: string | string[];
}

/** All actions that the inline policies of one role allow, sorted, each once. */
export function actionsOf(template: Template, roleIdPart: string): string[] {
  const policies = Object.values(template.findResources('AWS::IAM::Policy')) as {
    Properties: { Roles: { Ref: string }[]; PolicyDocument: { Statement: Statement[] } };
  }[];
  const actions = policies
    .filter(({ Properties }) => Properties.Roles.some(({ Ref }) => Ref.includes(roleIdPart)))
    .flatMap(({ Properties }) => Properties.PolicyDocument.Statement)
    .flatMap(({ Action }) => Action);
  return [...new Set(actions)].sort();
}
