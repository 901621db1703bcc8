/**
 * The little of CodeDeploy that the hooks of a Lambda deployment call. Nothing is deployed here: every
 * version is the newest code and traffic is always at it. A hook runs when it is invoked, and what it reports
 * is shown, as the reason for or against traffic.
 * https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_PutLifecycleEventHookExecutionStatus.html
 */
import type * as http from 'node:http';
import { type Context, type Resource, type Service, unknownAttribute } from '../../service';
import { listen, readBody, type RunningServer } from '../../util/server';
import { answerError, answerJson, notImplemented, operationOf, ServiceError } from '../aws-json';

const GROUP = 'AWS::CodeDeploy::DeploymentGroup';
const STATUSES = ['Pending', 'InProgress', 'Succeeded', 'Failed', 'Skipped', 'Unknown'];

export interface HookReport {
  readonly deploymentId: string;
  readonly status: string;
}

export class CodeDeploy implements Service {
  public readonly types = [GROUP, 'AWS::CodeDeploy::Application', 'AWS::CodeDeploy::DeploymentConfig'];
  public readonly endpoint = { name: 'codedeploy', url: () => this.server.url };
  /** What hooks have said, oldest first. */
  public readonly reports: HookReport[] = [];
  private server!: RunningServer;
  private readonly groupArns: string[] = [];

  public constructor(private readonly context: Context) {}

  public async start(): Promise<void> {
    this.server = await listen((request, response) => this.serve(request, response));
  }

  public ref({ name }: Resource): string {
    return name;
  }

  public attribute(resource: Resource, name: string): unknown {
    throw unknownAttribute(resource, name);
  }

  public async create(resource: Resource): Promise<void> {
    if (resource.type !== GROUP) return;
    const application = String(resource.resolve(resource.properties.ApplicationName));
    this.groupArns.push(this.context.arn('codedeploy', `deploymentgroup:${application}/${resource.name}`));
    this.context.notice(
      `${resource.name}: a new version has all traffic at once; its hooks run when they are invoked`,
    );
  }

  public async stop(): Promise<void> {
    await this.server?.close();
  }

  private async serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    try {
      const operation = operationOf(request);
      if (operation !== 'PutLifecycleEventHookExecutionStatus') throw notImplemented('CodeDeploy', operation);
      const { deploymentId, lifecycleEventHookExecutionId, status } = JSON.parse(
        (await readBody(request)).toString('utf8') || '{}',
      ) as Record<string, string | undefined>;
      await this.authorize(request.headers, `codedeploy:${operation}`);
      if (!deploymentId) throw new ServiceError('DeploymentIdRequiredException', 'deploymentId is missing');
      if (status === undefined || !STATUSES.includes(status)) {
        throw new ServiceError('InvalidLifecycleEventHookExecutionStatusException', `status: ${status}`);
      }
      this.reports.push({ deploymentId, status });
      const meaning =
        { Succeeded: 'traffic would shift', Failed: 'it would be rolled back' }[status] ??
        'the deployment goes on';
      this.context.log('CodeDeploy', `The hook of ${deploymentId} says ${status}: ${meaning}`);
      answerJson(response, 200, { lifecycleEventHookExecutionId }, '1.1');
    } catch (error) {
      answerError(response, error);
    }
  }

  /** A deployment belongs to one group; here, where there is none, to any that the caller may speak to. */
  private async authorize(headers: http.IncomingHttpHeaders, action: string): Promise<void> {
    let arn = this.groupArns[0] ?? '*';
    for (const candidate of this.groupArns) {
      if (await this.context.iam.allows(headers, action, candidate)) arn = candidate;
    }
    await this.context.iam.authorize(headers, action, arn);
  }
}
