/**
 * Removes the framing of an upload whose length or checksum was not known beforehand: `content-encoding:
 * aws-chunked`, signed or not. https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
 */
import { Transform, type TransformCallback } from 'node:stream';
import { ServiceError } from '../aws-json';

const CR = 13;
const LF = 10;
const MAX_LINE_BYTES = 8192;
const NOTHING: Buffer = Buffer.alloc(0);

export class AwsChunkedDecoder extends Transform {
  /** The headers that followed the last chunk; complete once the stream has ended. */
  public readonly trailers = new Map<string, string>();
  /**
   * What is wrong with the framing. The stream still takes everything in: breaking it off would keep the
   * answer from the client.
   */
  public failure?: ServiceError;
  private state: 'size' | 'data' | 'data-end' | 'trailers' | 'done' = 'size';
  private line = NOTHING;
  private left = 0;

  public override _transform(input: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    for (let rest = input; rest.length > 0 && !this.failure; ) {
      rest = this.state === 'data' ? this.takeData(rest) : this.takeLine(rest);
    }
    callback();
  }

  public override _flush(callback: TransformCallback): void {
    if (this.state !== 'done') this.failure ??= incompleteBody();
    callback();
  }

  private takeData(input: Buffer): Buffer {
    const data = input.subarray(0, this.left);
    this.left -= data.length;
    this.push(data);
    if (this.left === 0) this.state = 'data-end';
    return input.subarray(data.length);
  }

  private takeLine(input: Buffer): Buffer {
    const end = input.indexOf(LF);
    this.line = Buffer.concat([this.line, end < 0 ? input : input.subarray(0, end)]);
    if (this.line.length > MAX_LINE_BYTES) {
      return this.fail(malformed('A line of the aws-chunked framing is too long'));
    }
    if (end < 0) return NOTHING;
    if (this.line[this.line.length - 1] !== CR) {
      return this.fail(malformed('A line of the aws-chunked framing does not end in CRLF'));
    }
    const line = this.line.subarray(0, -1).toString('latin1');
    this.line = NOTHING;
    this.endOfLine(line);
    return input.subarray(end + 1);
  }

  private fail(error: ServiceError): Buffer {
    this.failure = error;
    return NOTHING;
  }

  private endOfLine(line: string): void {
    switch (this.state) {
      case 'size': {
        const size = /^([0-9a-fA-F]{1,8})(;.*)?$/.exec(line)?.[1];
        if (!size) return void this.fail(malformed('A chunk of the aws-chunked framing has no size'));
        this.left = parseInt(size, 16);
        this.state = this.left === 0 ? 'trailers' : 'data';
        return;
      }
      case 'data-end':
        if (line !== '') return void this.fail(malformed('A chunk is longer than its size says'));
        this.state = 'size';
        return;
      case 'trailers': {
        const colon = line.indexOf(':');
        if (line === '') this.state = 'done';
        else if (colon < 1) this.fail(malformedTrailer());
        else this.trailers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
        return;
      }
      default:
        this.fail(malformed('There is something behind the last chunk'));
    }
  }
}

export function incompleteBody(): ServiceError {
  return new ServiceError(
    'IncompleteBody',
    'You did not provide the number of bytes specified by the Content-Length HTTP header',
  );
}

export function malformedTrailer(): ServiceError {
  return new ServiceError(
    'MalformedTrailerError',
    'The request contained trailing data that was not well-formed or did not conform to our published schema.',
  );
}

function malformed(message: string): ServiceError {
  return new ServiceError('InvalidRequest', message);
}
