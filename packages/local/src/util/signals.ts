/**
 * Calls back when the process is told to end, by Ctrl-C or SIGTERM.
 *
 * The same Ctrl-C may come twice: from the terminal or `timeout`, which tell the whole group, and from npm, which hands on what it was
 * told. So what follows within a second is the same one, and does not cut short the end that has begun; a later one ends at once.
 *
 * @returns what makes it listen no more
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
