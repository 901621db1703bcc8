/** `--watch`: builds a bundle again when its source changes, and restarts the functions that run it. */
import { readFileSync } from 'node:fs';
import * as path from 'node:path';
import type { Lambda } from 'cdk-localhost/lambda';
import { context } from 'esbuild';
import { OPTIONS } from '../../scripts/bundle';

export async function watchBundles(
  lambda: Lambda,
  print: (line: string) => void,
): Promise<{ stop(): Promise<void> }> {
  const contents = new Map<string, string>();
  const builder = await context({
    ...OPTIONS,
    logLevel: 'silent',
    metafile: true,
    plugins: [
      {
        name: 'restart',
        setup: build =>
          build.onEnd(async ({ errors, metafile }) => {
            for (const { text, location } of errors) {
              print(`Not built: ${location?.file}:${location?.line} ${text}`);
            }
            if (errors.length > 0) return;
            for (const file of Object.keys(metafile?.outputs ?? {})) {
              const bundle = path.resolve(OPTIONS.absWorkingDir!, file);
              const content = readFileSync(bundle, 'utf8');
              const before = contents.get(file);
              contents.set(file, content);
              if (before === undefined || before === content) continue;
              const restarted = await lambda.renew(path.dirname(bundle));
              if (restarted.length > 0) print(`Built ${file}, restarted ${restarted.join(', ')}`);
            }
          }),
      },
    ],
  });
  await builder.watch();
  print('Watching lambda-src/ …');
  return { stop: () => builder.dispose() };
}
