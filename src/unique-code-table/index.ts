export * from './code-format';
export { CodeIndex, CodeVerb } from './code-verb';
export * from './props';
export type { IUniqueCodeTable } from './unique-code-table-base';
export * from './unique-code-table';
