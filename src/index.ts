export * from './shared/api-options';
export * from './shared/handler-props';
export * from './shared/table-billing';
export * from './birthday-api';
export * from './unique-code-table';
export * from './crash-reporter-layer';
export * from './git-push-pipeline';
export * from './webhook-runner';
