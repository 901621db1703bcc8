/**
 * The functions' log for somebody who follows it live: a long line is cut, an error that Lambda's second try
 * repeats is shown once, and of what an engine prints when it dies the beginning is enough.
 */

const LONGEST = 180;
/** In a row from one source. */
const MOST_LINES = 4;

export function tourLog(print: (line: string) => void): (source: string, line: string) => void {
  let last = { source: '', text: '', lines: 0, left: 0 };
  const seen = new Set<string>();
  return (source, line) => {
    if (line.trim() === '') return;
    if (source !== last.source) {
      if (last.left > 0) print(`${last.source} | … ${last.left} more lines`);
      last = { source, text: '', lines: 0, left: 0 };
    }
    // What differs between two tries: the time, the request's id.
    const text = line.replace(/^\S+Z\t\S+\t/, '');
    const repeated = text !== line && seen.has(`${source} ${text}`);
    if (text !== line) seen.add(`${source} ${text}`);
    if (repeated) {
      print(`${source} | (the same again: Lambda starts a broken function a second time)`);
      return;
    }
    last.lines++;
    if (last.lines > MOST_LINES) {
      last.left++;
      return;
    }
    print(`${source} | ${line.length > LONGEST ? `${line.slice(0, LONGEST)} …` : line}`);
  };
}
