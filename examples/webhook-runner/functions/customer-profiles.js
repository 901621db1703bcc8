const { CustomerProfilesClient, PutProfileObjectCommand } = require('@aws-sdk/client-customer-profiles');
const { again, isTransient, reasonOf } = require('./again');

const MAX_OBJECT_LENGTH = 256_000;

/** An object for each record. A batch that comes again puts the same objects: by their UNIQUE key they replace themselves. */
exports.createHandler =
  (client, domainName, objectTypeName) =>
  async ({ records }) => {
    const failures = [];
    for (const [index, record] of records.entries()) {
      const object = JSON.stringify(record);
      if (object.length > MAX_OBJECT_LENGTH) {
        failures.push({
          index,
          reason: `the object has ${object.length} characters, more than ${MAX_OBJECT_LENGTH}`,
        });
        continue;
      }
      try {
        await client.send(
          new PutProfileObjectCommand({
            DomainName: domainName,
            ObjectTypeName: objectTypeName,
            Object: object,
          }),
        );
      } catch (error) {
        if (isTransient(error)) throw again(error);
        failures.push({ index, reason: reasonOf(error) });
      }
    }
    return { failures };
  };

const { DOMAIN_NAME, OBJECT_TYPE_NAME } = process.env;
exports.handler = exports.createHandler(new CustomerProfilesClient({}), DOMAIN_NAME, OBJECT_TYPE_NAME);
