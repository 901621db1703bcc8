/**
 * `npm run publish-layer`: publishes both layers to an account, for functions that name the extension by its
 * ARN.
 */
import { readFileSync } from 'node:fs';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { type Architecture, LambdaClient, PublishLayerVersionCommand } from '@aws-sdk/client-lambda';
import { LAYER_ZIPS } from './build-extension';

const USAGE = `Publishes the layers of CrashReporterLayer and prints their ARNs, one a line.

  npm run publish-layer -- [--name crash-reporter] [--region eu-central-1] [--profile work]

Needs lambda:PublishLayerVersion, and credentials as the AWS CLI takes them. Each run makes a new version.
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      name: { type: 'string', default: 'crash-reporter' },
      region: { type: 'string' },
      profile: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return void process.stdout.write(USAGE);
  const client = new LambdaClient({ region: values.region, profile: values.profile });
  try {
    for (const zip of LAYER_ZIPS) {
      const architecture = path.basename(zip, '.zip') as Architecture;
      const { LayerVersionArn } = await client.send(
        new PublishLayerVersionCommand({
          LayerName: `${values.name}-${architecture}`,
          Description: `Reports crashes to Sentry (${architecture})`,
          Content: { ZipFile: readFileSync(path.resolve(__dirname, '..', 'assets', zip)) },
          CompatibleArchitectures: [architecture],
          LicenseInfo: 'Apache-2.0',
        }),
      );
      process.stdout.write(`${LayerVersionArn}\n`);
    }
  } finally {
    client.destroy();
  }
}

main().catch((error: Error) => {
  process.stderr.write(`${error.name}: ${error.message}\n`);
  process.exitCode = 1;
});
