import { existsSync } from 'node:fs';
import * as path from 'node:path';

/** The folder of prebuilt bundles: beside `lib/` in the package, beside `src/` in the repository. */
const ASSETS = path.resolve(__dirname, '..', '..', 'assets');

/**
 * The path of a prebuilt bundle, for instance `assetPath('birthday-api')`.
 *
 * Bundles are made when this library is built, so a user's synth needs neither esbuild nor Docker nor a
 * network.
 */
export function assetPath(name: string): string {
  const asset = path.join(ASSETS, name);
  if (!existsSync(asset)) {
    throw new Error(
      `The bundle ${asset} is missing. In a checkout of cdk-serverless-blocks run \`npx projen bundle\`; otherwise reinstall the package.`,
    );
  }
  return asset;
}
