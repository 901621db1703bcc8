/**
 * AWS::Lambda::LayerVersion: unpacked once, for the extensions in it and for modules of Node.js. /opt itself
 * does not exist here: a child process has no file system of its own.
 */
import { closeSync, existsSync, openSync, readdirSync, readSync, realpathSync, statSync } from 'node:fs';
import * as path from 'node:path';
import { unpackZip } from '../../util/zip';

/** Offsets and values of https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html */
const ELF_MAGIC = Buffer.from([0x7f, 0x45, 0x4c, 0x46]);
const ELF_MACHINE_OFFSET = 18;
const ELF_MACHINES: Record<number, string> = { 62: 'x64', 183: 'arm64' };

export class Layers {
  private readonly extensions = new Map<string, string[]>();
  private readonly opts = new Map<string, string>();

  /** @param folder where layers are unpacked */
  public constructor(private readonly folder: string) {}

  /** @param content the layer's zip, or the folder that it would be made of */
  public add(arn: string, content: string): void {
    const opt = statSync(content).isDirectory() ? content : this.unpack(content);
    this.opts.set(arn, opt);
    const extensions = path.join(opt, 'extensions');
    const files = existsSync(extensions)
      ? readdirSync(extensions).map(name => path.join(extensions, name))
      : [];
    this.extensions.set(
      arn,
      files.filter(file => statSync(file).isFile()),
    );
  }

  /** The files that Lambda would execute, in the order of their names. */
  public extensionsOf(arns: readonly string[]): string[] {
    return arns
      .flatMap(arn => this.extensions.get(arn) ?? [])
      .sort((a, b) => (path.basename(a) < path.basename(b) ? -1 : 1));
  }

  /**
   * Where a function may load modules from by name, the last layer first.
   * https://docs.aws.amazon.com/lambda/latest/dg/nodejs-layers.html
   */
  public moduleFoldersOf(arns: readonly string[]): string[] {
    return [...arns]
      .reverse()
      .flatMap(arn => this.opts.get(arn) ?? [])
      .flatMap(opt => ['nodejs/node_modules', 'nodejs'].map(folder => path.join(opt, folder)))
      .filter(existsSync)
      .map(folder => realpathSync(folder));
  }

  public has(arn: string): boolean {
    return this.extensions.has(arn);
  }

  private unpack(zip: string): string {
    const opt = path.join(this.folder, `layer-${this.extensions.size}`);
    unpackZip(zip, opt);
    return opt;
  }
}

/** Why a file cannot be executed on this machine; undefined when it can. */
export function whyNotExecutable(file: string): string | undefined {
  const header = Buffer.alloc(ELF_MACHINE_OFFSET + 2);
  const descriptor = openSync(file, 'r');
  try {
    readSync(descriptor, header, 0, header.length, 0);
  } finally {
    closeSync(descriptor);
  }
  if (statSync(file).mode % 0o1000 < 0o500) return 'it is not executable';
  if (!header.subarray(0, ELF_MAGIC.length).equals(ELF_MAGIC)) return undefined; // a script
  if (process.platform !== 'linux') return `it is a Linux program and this is ${process.platform}`;
  const machine = ELF_MACHINES[header.readUInt16LE(ELF_MACHINE_OFFSET)] ?? 'another machine';
  return machine === process.arch
    ? undefined
    : `it is built for ${machine} and this machine is ${process.arch}`;
}
