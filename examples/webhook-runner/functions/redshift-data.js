const { setTimeout: wait } = require('node:timers/promises');
const {
  BatchExecuteStatementCommand,
  CancelStatementCommand,
  DescribeStatementCommand,
  RedshiftDataClient,
} = require('@aws-sdk/client-redshift-data');
const { again, isTransient, reasonOf } = require('./again');

const ENDED = ['FINISHED', 'FAILED', 'ABORTED'];
/** Reserved for cancelling, and for the answer. */
const KEPT_MS = 5_000;
const LONG_POLL_SECONDS = 5;
const PAUSE_MS = 200;

/**
 * A row for each record, all of a batch in one transaction that first deletes what an earlier try of the same batch has inserted:
 * so a batch that comes again changes nothing. The SDK's own ClientToken covers the SDK's own retries; one
 * made from the batch's key would answer a second try with the failure of the first.
 */
exports.createHandler = (client, { table, ...target }) => {
  async function end(id, context) {
    for (;;) {
      const statement = await client.send(
        new DescribeStatementCommand({ Id: id, WaitTimeSeconds: LONG_POLL_SECONDS }),
      );
      if (ENDED.includes(statement.Status)) return statement;
      if (context.getRemainingTimeInMillis() < KEPT_MS + LONG_POLL_SECONDS * 1000) {
        await client.send(new CancelStatementCommand({ Id: id })); // or it would meet the next try
        throw new Error(`The statement ${id} takes too long`);
      }
      await wait(PAUSE_MS);
    }
  }

  async function insert({ idempotency_key, first_record }, entries, context) {
    const { Id } = await client.send(
      new BatchExecuteStatementCommand({
        ...target,
        Sqls: [
          `DELETE FROM ${table} WHERE batch_key = :batch_key`,
          ...entries.map(
            ({ index }) =>
              `INSERT INTO ${table} (batch_key, record_number, record) VALUES (:batch_key, ${first_record + index}, JSON_PARSE(:record_${index}))`,
          ),
        ],
        Parameters: [
          { name: 'batch_key', value: idempotency_key },
          ...entries.map(({ record, index }) => ({ name: `record_${index}`, value: JSON.stringify(record) })),
        ],
      }),
    );
    return end(Id, context);
  }

  return async (event, context) => {
    const failures = [];
    const entries = event.records.map((record, index) => ({ record, index }));
    while (entries.length > 0) {
      let statement;
      try {
        statement = await insert(event, entries, context);
      } catch (error) {
        if (isTransient(error)) throw error.$metadata ? again(error) : error;
        return { failures: event.records.map((_, index) => ({ index, reason: reasonOf(error) })) };
      }
      if (statement.Status === 'FINISHED') break;
      // One refused record rolls the others back: they are sent again without it.
      const failed = refusedAt(statement);
      if (failed === undefined)
        throw new Error(`The statement ${statement.Id} was not executed (${statement.Status})`);
      const [{ index }] = entries.splice(failed, 1);
      failures.push({ index, reason: statement.SubStatements[failed + 1].Error ?? 'refused' });
    }
    return { failures };
  };
};

/**
 * The position of the record that Redshift refused; none where the deletion failed, or transactions collided.
 */
function refusedAt({ SubStatements = [] }) {
  const failed = SubStatements.findIndex(({ Status }) => Status === 'FAILED');
  const isOfRecord =
    failed > 0 && !/serializable isolation|concurrent|cancel|timeout/i.test(SubStatements[failed].Error);
  return isOfRecord ? failed - 1 : undefined;
}

const { WORKGROUP_NAME, DATABASE, SECRET_ARN, TABLE } = process.env;
exports.handler = exports.createHandler(new RedshiftDataClient({}), {
  WorkgroupName: WORKGROUP_NAME,
  Database: DATABASE,
  SecretArn: SECRET_ARN,
  table: TABLE,
});
