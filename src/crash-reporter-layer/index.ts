export * from './crash-reporter-layer';
export * from './sentry-dsn';
