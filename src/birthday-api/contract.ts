/** What the construct and the handler agree on. Nothing is imported here: both sides import this file. */

/** Names of the environment variables that the construct sets and the handler reads. */
export const ENV = {
  tableName: 'TABLE_NAME',
  timeZone: 'TIME_ZONE',
  leapDayBirthday: 'LEAP_DAY_BIRTHDAY',
  /** Set only where a `hashKey` was given: the secret's ARN, never its value. */
  hashKeySecretArn: 'HASH_KEY_SECRET_ARN',
} as const;

/** When a birthday on 29 February is celebrated in a common year. */
export type LeapDayRule = 'FEBRUARY_28' | 'MARCH_1';

/** The table: one item per user. */
export const TABLE = {
  /** Partition key: SHA-256 of the user name, or its HMAC, as 64 lower-case hex digits. */
  key: 'Id',
  /** The date of birth, `YYYY-MM-DD`. */
  dateOfBirth: 'DateOfBirth',
} as const;

/** The path parameter of all routes. */
export const USER_PARAMETER = 'user';

/** The exports of the bundle. */
export const EXPORT = { put: 'put', get: 'get', delete: 'remove' } as const;

const probe = (user: string, routeKey: string, statusCodes: readonly number[]) => ({
  event: {
    version: '2.0',
    routeKey,
    headers: {},
    pathParameters: { [USER_PARAMETER]: user },
    isBase64Encoded: false,
  },
  statusCodes,
});

/**
 * What a new version is asked before it gets traffic. Reading goes as far as the table, the key and the
 * secret; what would write is given a name that cannot be one, and refuses it.
 */
export const PROBE = {
  put: probe('0', 'PUT /hello/{user}', [400]),
  get: probe('deployment', 'GET /hello/{user}', [200, 404]),
  delete: probe('0', 'DELETE /hello/{user}', [400]),
} as const;
