/**
 * Calls back when the process is asked to end, by Ctrl-C or SIGTERM.
 *
 * The same Ctrl-C may come twice: from the terminal or `timeout`, which signal the whole group, and from
 * npm, which passes on the signal it got. So what follows within a second is the same one, and does not cut
 * short the shutdown that has begun; a later one ends the process at once.
 *
 * @returns a function that stops the listening
 */
export function onEndAsked(callback: () => void): () => void {
  let first: number | undefined;
  const heard = (signal: NodeJS.Signals): void => {
    if (first === undefined) {
      first = performance.now();
      callback();
    } else if (performance.now() - first > SAME_SIGNAL_MS) {
      process.exit(signal === 'SIGINT' ? 130 : 143);
    }
  };
  process.on('SIGINT', heard).on('SIGTERM', heard);
  return () => void process.off('SIGINT', heard).off('SIGTERM', heard);
}

const SAME_SIGNAL_MS = 1000;
