import type * as codepipeline from 'aws-cdk-lib/aws-codepipeline';
import * as actions from 'aws-cdk-lib/aws-codepipeline-actions';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import type { Construct } from 'constructs';

export interface PushSourceActionProps extends actions.S3SourceActionProps {
  readonly eventBus?: events.IEventBus;
  /** Matches the published events of the source. */
  readonly eventPattern: events.EventPattern;
}

/**
 * Reads the zip as CodePipeline's own S3 source does; the published event starts the pipeline, so nothing
 * polls and CloudTrail is not needed.
 */
export class PushSourceAction extends actions.S3SourceAction {
  public constructor(private readonly source: PushSourceActionProps) {
    super({ ...source, trigger: actions.S3Trigger.NONE });
  }

  protected bound(
    scope: Construct,
    stage: codepipeline.IStage,
    options: codepipeline.ActionBindOptions,
  ): codepipeline.ActionConfig {
    new events.Rule(scope, `${this.source.actionName}PushRule`, {
      description: 'Starts the pipeline when a push has been published',
      eventBus: this.source.eventBus,
      eventPattern: this.source.eventPattern,
      targets: [new targets.CodePipeline(stage.pipeline)],
    });
    return super.bound(scope, stage, options);
  }
}
