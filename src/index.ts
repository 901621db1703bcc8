export * from './shared/api-options';
export * from './shared/handler-props';
export * from './birthday-api';
