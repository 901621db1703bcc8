/** The table's set and logical name, and the column of its alternate key. */
const TABLE = { set: 'contacts', type: 'Microsoft.Dynamics.CRM.contact', key: 'new_externalid' };

/**
 * A contact, named by its alternate key: the same record again changes the same row.
 *
 * @type {import('../map').RecordMapper}
 */
module.exports = (record, request) => {
  const { user_id: id, email, first_name: firstName, last_name: lastName } = record;
  if (!['string', 'number'].includes(typeof id) || id === '') throw new Error('there is no user_id');
  // A quote in an OData literal is doubled; the rest is as in any URL.
  const literal = encodeURIComponent(String(id).replaceAll("'", "''"));
  return {
    '@odata.type': TABLE.type,
    '@odata.id': `${TABLE.set}(${TABLE.key}='${literal}')`,
    emailaddress1: email,
    firstname: firstName,
    lastname: lastName,
    new_audience: request.label_name,
  };
};
