/**
 * Receives the body of an upload: streamed to a file, and verified against everything that the request says
 * about it.
 */
import { createWriteStream, rmSync } from 'node:fs';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AwsChunkedDecoder, incompleteBody, malformedTrailer } from './aws-chunked';
import { ServiceError } from '../aws-json';
import {
  type Algorithm,
  ALGORITHMS,
  type Checksum,
  checksum,
  checksumHeader,
  checksumLength,
} from './checksums';

export interface Upload {
  readonly file: string;
  readonly size: number;
  readonly md5: string;
  readonly algorithm: Algorithm;
  /** Base64, as in the headers. */
  readonly checksum: string;
  /** Whether the client sent that checksum. */
  readonly checked: boolean;
}

/** S3 takes 5 GiB in one request and 50 TB in parts; a developer's disk should not be filled by mistake. */
const MAX_OBJECT_BYTES = 5 * 1024 ** 3;

/**
 * Writes the body to the file; there is none if the upload is refused.
 *
 * @param fallback the checksum to compute where the client sends none; S3's own choice is CRC64NVME
 */
export async function receive(
  request: IncomingMessage,
  file: string,
  fallback: Algorithm = 'CRC64NVME',
): Promise<Upload> {
  try {
    return await receiveTo(request, file, fallback);
  } catch (error) {
    rmSync(file, { force: true });
    throw error;
  }
}

async function receiveTo(request: IncomingMessage, file: string, fallback: Algorithm): Promise<Upload> {
  const { headers } = request;
  const wanted = wantedChecksum(headers);
  const signedHash = /^[0-9a-f]{64}$/.exec(String(headers['x-amz-content-sha256']))?.[0];
  const decoder = isChunked(headers) ? new AwsChunkedDecoder() : undefined;
  const declared = declaredSize(headers, decoder !== undefined);
  if (declared > MAX_OBJECT_BYTES) throw tooLarge();
  const sha256 = checksum('SHA256');
  const upload = await write(
    decoder ? [request, decoder] : [request],
    file,
    wanted?.algorithm ?? fallback,
    signedHash ? [sha256] : [],
  );
  if (decoder?.failure) throw decoder.failure;
  if (upload.size !== declared) throw incompleteBody();
  if (signedHash && sha256.digest().toString('hex') !== signedHash) {
    throw new ServiceError(
      'XAmzContentSHA256Mismatch',
      "The provided 'x-amz-content-sha256' header does not match what was computed.",
    );
  }
  verifyMd5(headers['content-md5']?.toString(), upload.md5);
  if (wanted) verify(wanted, decoder?.trailers, upload.checksum);
  return { ...upload, checked: wanted !== undefined };
}

/** @param sources a readable stream, and what transforms it */
export async function write(
  sources: [NodeJS.ReadableStream, ...NodeJS.ReadWriteStream[]],
  file: string,
  algorithm: Algorithm,
  others: Checksum[] = [],
): Promise<Upload> {
  const own = checksum(algorithm);
  const md5 = checksum('MD5');
  const all = [own, md5, ...others];
  let size = 0;
  const meter = new Transform({
    transform(chunk: Buffer, _, callback) {
      size += chunk.length;
      for (const sum of all) sum.update(chunk);
      callback(null, chunk);
    },
  });
  await pipeline([...sources, meter, createWriteStream(file, { flags: 'wx' })]);
  return {
    file,
    size,
    md5: md5.digest().toString('hex'),
    algorithm,
    checksum: own.digest().toString('base64'),
    checked: false,
  };
}

interface WantedChecksum {
  readonly algorithm: Algorithm;
  /** Missing where it follows in a trailer. */
  readonly value?: string;
}

function wantedChecksum(headers: IncomingHttpHeaders): WantedChecksum | undefined {
  const given = ALGORITHMS.filter(algorithm => headers[checksumHeader(algorithm)] !== undefined);
  const announced = String(headers['x-amz-trailer'] ?? '')
    .toLowerCase()
    .split(',')
    .map(name => name.trim());
  const trailing = ALGORITHMS.filter(algorithm => announced.includes(checksumHeader(algorithm)));
  if (given.length + trailing.length > 1) {
    throw new ServiceError(
      'InvalidRequest',
      'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.',
    );
  }
  if (trailing.length === 1) return { algorithm: trailing[0] };
  if (given.length === 1) return { algorithm: given[0], value: String(headers[checksumHeader(given[0])]) };
  if (headers['x-amz-sdk-checksum-algorithm']) {
    throw new ServiceError(
      'InvalidRequest',
      'x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.',
    );
  }
  return undefined;
}

function verify(
  { algorithm, value }: WantedChecksum,
  trailers: Map<string, string> | undefined,
  computed: string,
): void {
  const header = checksumHeader(algorithm);
  const expected = value ?? trailers?.get(header);
  if (expected === undefined) throw malformedTrailer();
  verifyChecksum(algorithm, expected, computed);
}

function verifyChecksum(algorithm: Algorithm, expected: string, computed: string): void {
  if (Buffer.from(expected, 'base64').length !== checksumLength(algorithm)) {
    throw new ServiceError('InvalidRequest', `Value for ${checksumHeader(algorithm)} header is invalid.`);
  }
  if (expected !== computed) {
    throw new ServiceError(
      'BadDigest',
      `The ${algorithm} you specified did not match the calculated checksum.`,
    );
  }
}

function verifyMd5(expected: string | undefined, computed: string): void {
  if (expected === undefined) return;
  const value = Buffer.from(expected, 'base64');
  if (value.length !== 16) {
    throw new ServiceError('InvalidDigest', 'The Content-MD5 you specified was invalid.');
  }
  if (value.toString('hex') !== computed) {
    throw new ServiceError('BadDigest', 'The Content-MD5 you specified did not match what we received.');
  }
}

function isChunked(headers: IncomingHttpHeaders): boolean {
  return (
    /^STREAMING-/.test(String(headers['x-amz-content-sha256'])) ||
    /\baws-chunked\b/.test(headers['content-encoding'] ?? '')
  );
}

function declaredSize(headers: IncomingHttpHeaders, chunked: boolean): number {
  const declared = chunked ? headers['x-amz-decoded-content-length'] : headers['content-length'];
  if (declared === undefined) {
    throw new ServiceError('MissingContentLength', 'You must provide the Content-Length HTTP header.', 411);
  }
  return Number(declared);
}

function tooLarge(): ServiceError {
  return new ServiceError('EntityTooLarge', 'Your proposed upload exceeds the maximum allowed size');
}
