/** A short walk through the running system: real requests, printed with their answers. */
import { BLOCKS, curl, type Step } from '../example/blocks';

/**
 * @param after prints more about an answer; returns whether it was as expected
 * @param more the parts of the tour that are not a single request
 * @returns whether every answer was the expected one
 */
export async function takeTour(
  urls: Record<string, Record<string, string>>,
  print: (line: string) => void,
  after: (block: string) => Promise<boolean>,
  more: () => Promise<boolean>,
): Promise<boolean> {
  let ok = true;
  for (const block of BLOCKS) {
    const url = urls[block.name]?.[block.url];
    if (!url) continue;
    /** Values from answers that later requests send. */
    const kept: Record<string, string> = {};
    for (const written of block.tour) {
      const step = filledIn(written, kept);
      print(`\n${step.title}\n  ${curl(step, url)}`);
      const response = await fetch(url + step.path, {
        method: step.method,
        headers: { ...(step.body !== undefined && { 'content-type': 'application/json' }), ...step.headers },
        body: step.body === undefined ? undefined : JSON.stringify(step.body),
      });
      const expected = response.status === step.expect;
      const answer = await response.text();
      print(`  ${response.status} ${answer}${expected ? '' : `   <- expected ${step.expect}`}`);
      if (step.keep && expected) {
        kept[step.keep] = String((JSON.parse(answer) as Record<string, unknown>)[step.keep]);
      }
      ok &&= expected;
      ok = (await after(block.name)) && ok;
    }
  }
  ok = (await more()) && ok;
  print(ok ? '\nThe tour went as expected.' : '\nThe tour found something unexpected, see above.');
  return ok;
}

/** The step with what earlier answers said in the place of `{name}`. */
function filledIn(step: Step, kept: Readonly<Record<string, string>>): Step {
  if (step.body === undefined) return step;
  const body = JSON.stringify(step.body).replace(/\{(\w+)\}/g, (text, name: string) => kept[name] ?? text);
  return { ...step, body: JSON.parse(body) as unknown };
}
