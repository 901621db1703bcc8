export * from './birthday-api';
