/**
 * A template to copy: what is done to one record. The types are in map.d.ts.
 *
 * Return the record as it is to be sent, `undefined` to leave it out, or `{ body, contentType }` (both and nothing else) to send a
 * request of its own. What is thrown becomes this record's error, and the run goes on.
 *
 * @type {import('./map').RecordMapper}
 */
module.exports = (record, request) => {
  if (record.email === undefined) return undefined;
  return { ...record, audience: request.label_name };
};
