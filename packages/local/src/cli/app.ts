/** The app that a command is to run: a cloud assembly, or a command that makes one. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { UsageError } from './command';

export interface App {
  readonly assembly: string;
  /** Deletes what was created for it; no function may still be running. */
  dispose(): void;
}

/**
 * @param app a folder with a manifest.json, or a command, which gets what `cdk` gives an app (CDK_OUTDIR); by
 * default `cdk.out` where there is one, else `npx cdk synth`
 */
export async function openApp(app: string | undefined, print: (line: string) => void): Promise<App> {
  const chosen =
    app ??
    (existsSync('cdk.out/manifest.json') ? 'cdk.out' : existsSync('cdk.json') ? 'npx cdk synth' : undefined);
  if (chosen === undefined) {
    throw new UsageError('There is no cdk.out and no cdk.json here: name a folder or a command by --app');
  }
  if (existsSync(path.join(chosen, 'manifest.json'))) {
    return { assembly: path.resolve(chosen), dispose: () => undefined };
  }
  if (existsSync(chosen)) {
    throw new UsageError(
      `${chosen} is not a cloud assembly: it has no manifest.json. Run \`cdk synth\` and name its output folder`,
    );
  }
  const assembly = mkdtempSync(path.join(tmpdir(), 'cdk-localhost-app-'));
  const dispose = () => rmSync(assembly, { recursive: true, force: true });
  try {
    // The CDK's command line makes the folder itself; an app that is run without it reads the variable.
    const command = /\bcdk\s+synth\b/.test(chosen)
      ? `${chosen} --quiet --output "$CDK_OUTDIR" --path-metadata`
      : chosen;
    print(`$ ${command}`);
    await synthesize(command, assembly);
    return { assembly, dispose };
  } catch (error) {
    dispose();
    throw error;
  }
}

function synthesize(command: string, outdir: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, {
      shell: true,
      stdio: ['ignore', 2, 2], // stdout is the command's own answer
      env: {
        ...process.env,
        CDK_OUTDIR: outdir,
        CDK_CONTEXT_JSON: JSON.stringify({
          'aws:cdk:enable-path-metadata': true,
          'aws:cdk:enable-asset-metadata': true,
        }),
        CDK_VALIDATION: 'false', // validation against CloudFormation's schemas: it takes seconds, and a deployment does it
      },
    });
    child.once('error', reject);
    child.once('exit', code => {
      if (code !== 0) return reject(new UsageError(`\`${command}\` failed with exit status ${code}`));
      if (existsSync(path.join(outdir, 'manifest.json'))) return resolve();
      reject(new UsageError(`\`${command}\` wrote no cloud assembly into ${outdir} (CDK_OUTDIR)`));
    });
  });
}
