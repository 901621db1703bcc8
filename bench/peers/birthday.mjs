/**
 * What a birthday's handler does besides calling AWS: the library's own code, so that only what is around it
 * differs.
 */
import { createHash } from 'node:crypto';
import { isBefore, localDate, parseDate, parseUser } from '../../lambda-src/birthday-api/core/domain';

/** Undefined where it is none. */
export function dateOfBirthOf({ dateOfBirth }) {
  const date = parseDate(dateOfBirth);
  return date && isBefore(date, localDate(new Date())) ? dateOfBirth : undefined;
}

export function keyOf(user) {
  return createHash('sha256').update(parseUser(user).key).digest('hex');
}
