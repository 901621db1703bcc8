export * from './code-format';
export * from './unique-code-table';
