/**
 * The checksums of S3, computed while a body streams.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';

export const ALGORITHMS = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

export interface Checksum {
  update(chunk: Buffer): void;
  digest(): Buffer;
}

export function checksum(algorithm: Algorithm | 'MD5'): Checksum {
  switch (algorithm) {
    case 'CRC32':
      return new Crc32();
    case 'CRC32C':
      return new TableCrc(CRC32C_TABLE, 4);
    case 'CRC64NVME':
      return new TableCrc(CRC64NVME_TABLE, 8);
    default: {
      const hash = createHash(algorithm);
      return { update: chunk => void hash.update(chunk), digest: () => hash.digest() };
    }
  }
}

/** How many bytes a value has: a header that decodes to another length is not one of these. */
export function checksumLength(algorithm: Algorithm): number {
  return { CRC32: 4, CRC32C: 4, CRC64NVME: 8, SHA1: 20, SHA256: 32 }[algorithm];
}

export function checksumHeader(algorithm: Algorithm): string {
  return `x-amz-checksum-${algorithm.toLowerCase()}`;
}

class Crc32 implements Checksum {
  private value = 0;

  public update(chunk: Buffer): void {
    this.value = crc32(chunk, this.value);
  }

  public digest(): Buffer {
    const result = Buffer.alloc(4);
    result.writeUInt32BE(this.value);
    return result;
  }
}

/** A reflected CRC of up to 64 bits, in two halves of 32: BigInt would take ten times as long. */
class TableCrc implements Checksum {
  private low = 0xffffffff;
  private high: number;

  public constructor(
    private readonly table: CrcTable,
    private readonly bytes: 4 | 8,
  ) {
    this.high = bytes === 8 ? 0xffffffff : 0;
  }

  public update(chunk: Buffer): void {
    const { low: lows, high: highs } = this.table;
    let { low, high } = this;
    for (let i = 0; i < chunk.length; i++) {
      const index = (low ^ chunk[i]) & 0xff;
      low = ((low >>> 8) | (high << 24)) ^ lows[index];
      high = (high >>> 8) ^ highs[index];
    }
    this.low = low;
    this.high = high;
  }

  public digest(): Buffer {
    const result = Buffer.alloc(8);
    result.writeUInt32BE(~this.high >>> 0, 0);
    result.writeUInt32BE(~this.low >>> 0, 4);
    return result.subarray(8 - this.bytes);
  }
}

interface CrcTable {
  readonly low: Uint32Array;
  readonly high: Uint32Array;
}

function crcTable(polynomialHigh: number, polynomialLow: number): CrcTable {
  const table = { low: new Uint32Array(256), high: new Uint32Array(256) };
  for (let i = 0; i < 256; i++) {
    let low = i;
    let high = 0;
    for (let bit = 0; bit < 8; bit++) {
      const carry = low & 1;
      low = (low >>> 1) | ((high & 1) << 31);
      high >>>= 1;
      if (carry) {
        low ^= polynomialLow;
        high ^= polynomialHigh;
      }
    }
    table.low[i] = low;
    table.high[i] = high;
  }
  return table;
}

const CRC32C_TABLE = crcTable(0, 0x82f63b78);
const CRC64NVME_TABLE = crcTable(0x9a6c9329, 0xac4bc9b5);
