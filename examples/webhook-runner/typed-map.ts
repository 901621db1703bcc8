import type { RecordMapper } from './map';

/**
 * The template of map.js in TypeScript. It may import packages and other files: the command on the block's
 * page bundles all of it into one file.
 */
const map: RecordMapper = (record, request) => {
  if (typeof record.email !== 'string') return undefined;
  return { ...record, email: record.email.toLowerCase(), audience: request.label_name };
};

export default map;
