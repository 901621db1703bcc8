export * from './git-push-pipeline';
export type { GitPushPipelineAttributes, IGitPushPipeline } from './git-push-pipeline-base';
export * from './props';
export * from './secrets';
