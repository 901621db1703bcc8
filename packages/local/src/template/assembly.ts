/** Reads what `cdk synth` wrote: templates, and where the assets lie that they name. */
import { existsSync, readFileSync } from 'node:fs';
import * as path from 'node:path';
import type { Template } from './intrinsics';

export interface Stack {
  readonly name: string;
  readonly template: Template;
  /** The folder or file of an asset, by the S3 object key in the template. */
  assetPath(objectKey: string): string | undefined;
}

interface Manifest {
  artifacts?: Record<string, { type: string; properties?: { templateFile?: string; file?: string } }>;
}

/** The stacks of a cloud assembly, the folder that `cdk synth` writes (`cdk.out`). */
export function readAssembly(folder: string): Stack[] {
  const manifestFile = path.join(folder, 'manifest.json');
  if (!existsSync(manifestFile)) {
    throw new Error(
      `${folder} is not a cloud assembly: it has no manifest.json. Run \`cdk synth\` and name its output folder`,
    );
  }
  const { artifacts = {} } = JSON.parse(readFileSync(manifestFile, 'utf8')) as Manifest;
  const assets = new Map<string, string>();
  for (const { type, properties } of Object.values(artifacts)) {
    if (type !== 'cdk:asset-manifest' || !properties?.file) continue;
    const { files = {} } = JSON.parse(
      readFileSync(path.join(folder, properties.file), 'utf8'),
    ) as AssetManifest;
    for (const { source, destinations } of Object.values(files)) {
      for (const { objectKey } of Object.values(destinations)) {
        if (source.path) assets.set(objectKey, path.resolve(folder, source.path));
      }
    }
  }
  const stacks: Stack[] = [];
  for (const [name, { type, properties }] of Object.entries(artifacts)) {
    if (type !== 'aws:cloudformation:stack' || !properties?.templateFile) continue;
    const template = JSON.parse(readFileSync(path.join(folder, properties.templateFile), 'utf8')) as Template;
    stacks.push({ name, template, assetPath: objectKey => assets.get(objectKey) });
  }
  return stacks;
}

interface AssetManifest {
  files?: Record<string, { source: { path?: string }; destinations: Record<string, { objectKey: string }> }>;
}
