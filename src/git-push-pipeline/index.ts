export * from './git-push-pipeline';
export * from './props';
export * from './secrets';
