/** What Sentry received of a crash, as the tour prints it. */
import { relationOf, type SentryEvent, type SentryException } from '../hosts/sentry/sentry-envelope';
import type { SentrySink } from '../hosts/sentry/sentry-sink';

const PATIENCE_MS = 60_000;
const FRAMES = 3;

/** @returns whether the next event came */
export async function tellOfCrash(
  sink: SentrySink,
  count: number,
  print: (line: string) => void,
): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>(resolve => {
    timer = setTimeout(() => resolve(undefined), PATIENCE_MS);
  });
  const events = await Promise.race([sink.wait(count), late]);
  clearTimeout(timer);
  if (!events) {
    print(`  Sentry received nothing for ${PATIENCE_MS / 1000} seconds   <- expected an event`);
    return false;
  }
  for (const line of summary(events[count - 1])) print(`  ${line}`);
  return true;
}

/** One line for the error, one for each frame of the function's own, with its line of code. */
export function summary(event: SentryEvent): string[] {
  const [top, ...causes] = [...(event.exception?.values ?? [])].reverse();
  if (!top) return [];
  return [
    `Sentry received: ${head(top)}   (${event.level}, ${String(event.transaction)})`,
    ...frames(top),
    ...causes.flatMap(cause => [`  ${relationOf(cause)} ${head(cause)}`, ...frames(cause)]),
  ];
}

function head({ type, value = '' }: SentryException): string {
  const [first] = value.split('\n');
  return first === '' ? type : `${type}: ${first}`;
}

function frames({ stacktrace }: SentryException): string[] {
  const own = [...(stacktrace?.frames ?? [])].reverse().filter(({ in_app: inApp }) => inApp);
  return own
    .slice(0, FRAMES)
    .map(({ function: name = '(anonymous)', filename = '?', lineno, context_line: line }) => {
      const place = `    at ${name} ${lineno ? `${filename}:${lineno}` : filename}`;
      return line ? `${place}   ${line.trim()}` : place;
    });
}
