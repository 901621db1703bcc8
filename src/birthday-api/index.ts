export * from './birthday-api';
export type { BirthdayApiAttributes, IBirthdayApi } from './birthday-api-base';
