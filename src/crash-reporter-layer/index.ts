export * from './crash-reporter-interface';
export * from './crash-reporter-layer';
export * from './crash-reporter-props';
export * from './sentry-dsn';
