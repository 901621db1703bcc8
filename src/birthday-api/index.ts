export * from './birthday-api';
export { BirthdayApiAttributes, IBirthdayApi } from './birthday-api-base';
