/**
 * Reads what `cdk synth` wrote: the stacks of an app, of its stages and nested ones, and where the assets
 * that they name are.
 */
import { existsSync, readFileSync } from 'node:fs';
import * as path from 'node:path';
import type { Template } from './intrinsics';

export interface Stack {
  /** As `cdk ls` shows it, for instance `Prod/Data`. */
  readonly id: string;
  /** What CloudFormation would call it. */
  readonly name: string;
  readonly template: Template;
}

export interface Assembly {
  /** Without nested stacks: those are resources of their parents, and `template` reads them. */
  readonly stacks: readonly Stack[];
  /**
   * The folder or file of an asset, by the S3 object key in a template. Keys are hashes of contents, so all
   * stacks share them.
   */
  assetPath(objectKey: string): string | undefined;
}

interface Manifest {
  artifacts?: Record<
    string,
    {
      type: string;
      displayName?: string;
      properties?: { templateFile?: string; file?: string; directoryName?: string; stackName?: string };
    }
  >;
}

interface AssetManifest {
  files?: Record<string, { source: { path?: string }; destinations: Record<string, { objectKey: string }> }>;
}

/** @param folder the folder that `cdk synth` writes (`cdk.out`) */
export function readAssembly(folder: string): Assembly {
  if (!existsSync(path.join(folder, 'manifest.json'))) {
    throw new Error(
      `${folder} is not a cloud assembly: it has no manifest.json. Run \`cdk synth\` and name its output folder`,
    );
  }
  const stacks: Stack[] = [];
  const assets = new Map<string, string>();
  read(folder, stacks, assets);
  return { stacks, assetPath: objectKey => assets.get(objectKey) };
}

function read(folder: string, stacks: Stack[], assets: Map<string, string>): void {
  const { artifacts = {} } = readJson<Manifest>(path.join(folder, 'manifest.json'));
  for (const [id, { type, displayName, properties = {} }] of Object.entries(artifacts)) {
    if (type === 'cdk:asset-manifest' && properties.file) {
      const { files = {} } = readJson<AssetManifest>(path.join(folder, properties.file));
      for (const { source, destinations } of Object.values(files)) {
        for (const { objectKey } of Object.values(destinations)) {
          if (source.path) assets.set(objectKey, path.resolve(folder, source.path));
        }
      }
    } else if (type === 'aws:cloudformation:stack' && properties.templateFile) {
      stacks.push({
        id: displayName?.split(' ')[0] ?? id,
        name: properties.stackName ?? id,
        template: readTemplate(path.join(folder, properties.templateFile)),
      });
    } else if (type === 'cdk:cloud-assembly' && properties.directoryName) {
      read(path.join(folder, properties.directoryName), stacks, assets); // a Stage
    }
  }
}

export function readTemplate(file: string): Template {
  return readJson<Template>(file);
}

function readJson<T>(file: string): T {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as T;
  } catch (error) {
    throw new Error(`The cloud assembly is broken: ${file}: ${(error as Error).message}`);
  }
}
