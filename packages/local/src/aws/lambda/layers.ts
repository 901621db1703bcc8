/**
 * AWS::Lambda::LayerVersion: unpacked once, for the extensions in it. The rest of /opt does not exist here: a child process has no
 * file system of its own.
 */
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import * as path from 'node:path';
import { readZip } from '../../util/zip';

/** Offsets and values of https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html */
const ELF_MAGIC = Buffer.from([0x7f, 0x45, 0x4c, 0x46]);
const ELF_MACHINE_OFFSET = 18;
const ELF_MACHINES: Record<number, string> = { 62: 'x64', 183: 'arm64' };

export class Layers {
  private readonly extensions = new Map<string, string[]>();

  /** @param folder where layers are unpacked */
  public constructor(private readonly folder: string) {}

  /** @param content the layer's zip, or the folder that it would be made of */
  public add(arn: string, content: string): void {
    const opt = statSync(content).isDirectory() ? content : this.unpack(content);
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

  public has(arn: string): boolean {
    return this.extensions.has(arn);
  }

  private unpack(zip: string): string {
    const opt = path.join(this.folder, `layer-${this.extensions.size}`);
    for (const { name, mode, data } of readZip(readFileSync(zip))) {
      const file = path.join(opt, name);
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(file, data);
      chmodSync(file, mode);
    }
    mkdirSync(opt, { recursive: true });
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
