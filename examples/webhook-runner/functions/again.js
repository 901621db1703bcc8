/** Whether a call may do better another time: throttled, no answer, or the service's own fault. */
exports.isTransient = ({ name = '', $metadata }) => {
  const status = $metadata?.httpStatusCode;
  return (
    status === undefined ||
    status === 429 ||
    status >= 500 ||
    /Throttl|TooManyRequests|ActiveStatementsExceeded/.test(name)
  );
};

/** What to throw so that the runner sends the batch again. Lambda logs it, so it names no record. */
exports.again = ({ name }) => new Error(`${name}: the batch is to be sent again`);

/** Why a record was refused, for the platform. */
exports.reasonOf = ({ name, message }) => `${name}: ${message}`;
