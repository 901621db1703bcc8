/**
 * Control characters, line separators, halves of a character, what changes the direction of text, and what
 * SQS accepts in no message.
 */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}\uFFFE\uFFFF]+/gu;

/**
 * One line of at most `maxLength` UTF-16 units: texts from outside end up in logs, reports and message
 * attributes.
 * @param secrets are blanked, wherever they occur
 */
export function printable(text: string, maxLength: number, secrets: readonly string[] = []): string {
  let line = text;
  for (const secret of secrets) {
    if (secret.length > 0) line = line.replaceAll(secret, '***');
  }
  line = line.replace(UNPRINTABLE, ' ').trim();
  // The cut may leave half of a character behind.
  return line.length > maxLength ? `${line.slice(0, maxLength - 1).replace(/\p{Cs}$/u, '')}…` : line;
}

const MAX_REASON = 300;

/** What a log line says about an error. Addresses are left out: a presigned one is a credential. */
export function errorFields(error: unknown): { readonly error: string; readonly reason: string } {
  const text = error instanceof Error ? error.message : String(error);
  return {
    error: error instanceof Error ? error.name : 'Error',
    reason: printable(text.replace(/\b[a-z][a-z0-9+.-]*:\/\/\S+/gi, 'a URL'), MAX_REASON),
  };
}
