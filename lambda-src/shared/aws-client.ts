/**
 * What every AWS client of a handler is told. Without limits of time a lost answer is waited for until the function's own time is up,
 * and never asked for again.
 */
export const CLIENT_OPTIONS = {
  requestHandler: { connectionTimeout: 1000, requestTimeout: 2000, throwOnRequestTimeout: true }, // milliseconds
};
