/** Multipart uploads. https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, rmSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import { Readable } from 'node:stream';
import { ServiceError } from '../aws-json';
import { type Algorithm, ALGORITHMS, checksum, checksumHeader } from './checksums';
import type { Content, StoredChecksum } from './store';
import { unquote } from './store';
import { type Upload, write } from './upload';
import { childText, malformedXml, readXml } from './xml';

const MIN_PART_BYTES = 5 * 1024 * 1024;
const MAX_PARTS = 10_000;

export interface MultipartUpload {
  readonly bucket: string;
  readonly key: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly algorithm: Algorithm;
  /** Whether the client chose it: then every part has to carry such a checksum. */
  readonly named: boolean;
  readonly type: StoredChecksum['type'];
  readonly parts: Map<number, Upload>;
}

export class MultipartUploads {
  private readonly uploads = new Map<string, MultipartUpload>();

  /** @param headers what a later GET of the object answers with */
  public create(
    bucket: string,
    key: string,
    request: IncomingHttpHeaders,
    headers: Readonly<Record<string, string>>,
  ): string {
    const named = request['x-amz-checksum-algorithm'];
    const algorithm = ALGORITHMS.find(one => one === (named ?? 'CRC64NVME'));
    if (!algorithm) {
      throw new ServiceError(
        'InvalidRequest',
        'Checksum algorithm provided is unsupported. Please try again with any of the valid types',
      );
    }
    const type = request['x-amz-checksum-type'] ?? (algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE');
    if (
      (type !== 'FULL_OBJECT' && type !== 'COMPOSITE') ||
      (type === 'FULL_OBJECT' && algorithm.startsWith('SHA'))
    ) {
      throw new ServiceError(
        'InvalidRequest',
        `The ${String(type)} checksum type cannot be used with the ${algorithm} checksum algorithm.`,
      );
    }
    const id = randomBytes(24).toString('base64url');
    this.uploads.set(id, {
      bucket,
      key,
      headers,
      algorithm,
      named: named !== undefined,
      type,
      parts: new Map(),
    });
    return id;
  }

  public find(id: string | null, bucket: string, key: string): MultipartUpload {
    const upload = this.uploads.get(id ?? '');
    if (upload?.bucket === bucket && upload.key === key) return upload;
    throw new ServiceError(
      'NoSuchUpload',
      'The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.',
      404,
      { UploadId: id ?? '' },
    );
  }

  public addPart(upload: MultipartUpload, number: number, part: Upload): void {
    const replaced = upload.parts.get(number);
    if (upload.named && !(part.checked && part.algorithm === upload.algorithm)) {
      rmSync(part.file, { force: true });
      throw new ServiceError(
        'InvalidRequest',
        `Checksum Type mismatch occurred, expected checksum Type: ${upload.algorithm.toLowerCase()}, ` +
          `actual checksum Type: ${part.checked ? part.algorithm.toLowerCase() : 'null'}`,
      );
    }
    upload.parts.set(number, part);
    if (replaced) rmSync(replaced.file, { force: true });
  }

  /** Joins the parts into one file; the upload exists until `end`. */
  public async complete(
    upload: MultipartUpload,
    body: string,
    request: IncomingHttpHeaders,
    file: string,
  ): Promise<Content> {
    const parts = chosenParts(upload, body);
    const size = parts.reduce((sum, part) => sum + part.size, 0);
    const expectedSize = request['x-amz-mp-object-size'];
    if (expectedSize !== undefined && Number(expectedSize) !== size) {
      throw new ServiceError(
        'InvalidRequest',
        "The provided 'x-amz-mp-object-size' header value does not match what was computed.",
      );
    }
    const whole = await write([Readable.from(contents(parts))], file, upload.algorithm);
    const value =
      upload.type === 'FULL_OBJECT' ? whole.checksum : `${combine(upload.algorithm, parts)}-${parts.length}`;
    const expected = request[checksumHeader(upload.algorithm)];
    if (typeof expected === 'string' && expected !== value) {
      rmSync(file, { force: true });
      throw new ServiceError(
        'BadDigest',
        `The ${upload.algorithm} you specified did not match the calculated checksum.`,
      );
    }
    const md5s = createHash('md5')
      .update(Buffer.concat(parts.map(({ md5 }) => Buffer.from(md5, 'hex'))))
      .digest('hex');
    return {
      file,
      size,
      headers: upload.headers,
      etag: `"${md5s}-${parts.length}"`,
      checksum: { algorithm: upload.algorithm, type: upload.type, value },
    };
  }

  /** Forgets the upload and its parts: it has been completed or aborted. */
  public end(upload: MultipartUpload): void {
    for (const [id, one] of this.uploads) if (one === upload) this.uploads.delete(id);
    for (const { file } of upload.parts.values()) rmSync(file, { force: true });
  }
}

export function partNumber(text: string | null): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= 1 && number <= MAX_PARTS) return number;
  throw new ServiceError(
    'InvalidArgument',
    `Part number must be an integer between 1 and ${MAX_PARTS}, inclusive`,
  );
}

function chosenParts({ parts, algorithm, type }: MultipartUpload, body: string): Upload[] {
  const elements = readXml(body, 'CompleteMultipartUpload').children.filter(({ name }) => name === 'Part');
  if (elements.length === 0) throw malformedXml();
  const numbers = elements.map(element => Number(childText(element, 'PartNumber')));
  if (numbers.some((number, index) => index > 0 && !(number > numbers[index - 1]))) {
    throw new ServiceError(
      'InvalidPartOrder',
      'The list of parts was not in ascending order. Parts must be ordered by part number.',
    );
  }
  return elements.map((element, index) => {
    const number = numbers[index];
    const part = parts.get(number);
    const sum = part && childText(element, `Checksum${part.algorithm}`);
    if (
      !part ||
      unquote(childText(element, 'ETag') ?? '') !== part.md5 ||
      (sum !== undefined && sum !== part.checksum)
    ) {
      throw new ServiceError(
        'InvalidPart',
        'One or more of the specified parts could not be found. ' +
          "The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
        400,
        { PartNumber: number },
      );
    }
    if (type === 'COMPOSITE' && sum === undefined) {
      throw new ServiceError(
        'InvalidRequest',
        `The upload was created using a ${algorithm.toLowerCase()} checksum. ` +
          'The complete request must include the checksum for each part.',
      );
    }
    if (part.size < MIN_PART_BYTES && index < elements.length - 1) {
      throw new ServiceError(
        'EntityTooSmall',
        'Your proposed upload is smaller than the minimum allowed size',
        400,
        { PartNumber: number },
      );
    }
    return part;
  });
}

async function* contents(parts: Upload[]): AsyncGenerator<Buffer> {
  for (const { file } of parts) yield* createReadStream(file) as AsyncIterable<Buffer>;
}

function combine(algorithm: Algorithm, parts: Upload[]): string {
  const sum = checksum(algorithm);
  for (const part of parts) sum.update(Buffer.from(part.checksum, 'base64'));
  return sum.digest().toString('base64');
}
