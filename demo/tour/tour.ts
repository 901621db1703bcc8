/** A short walk through the running system: real requests, printed with their answers. */
import { BLOCKS, curl } from '../example/blocks';

/**
 * @param more what of the tour is no single request
 * @returns whether every answer was the expected one
 */
export async function takeTour(
  urls: Record<string, Record<string, string>>,
  print: (line: string) => void,
  more: () => Promise<boolean>,
): Promise<boolean> {
  let ok = true;
  for (const block of BLOCKS) {
    const url = urls[block.name]?.[block.url];
    if (!url) continue;
    for (const step of block.tour) {
      print(`\n${step.title}\n  ${curl(step, url)}`);
      const response = await fetch(url + step.path, {
        method: step.method,
        headers: { ...(step.body !== undefined && { 'content-type': 'application/json' }), ...step.headers },
        body: step.body === undefined ? undefined : JSON.stringify(step.body),
      });
      const expected = response.status === step.expect;
      print(
        `  ${response.status} ${await response.text()}${expected ? '' : `   <- expected ${step.expect}`}`,
      );
      ok &&= expected;
    }
  }
  ok = (await more()) && ok;
  print(ok ? '\nThe tour went as expected.' : '\nThe tour found something unexpected, see above.');
  return ok;
}
