import * as crypto from 'node:crypto';
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import * as zlib from 'node:zlib';

export type Handler = (request: http.IncomingMessage, response: http.ServerResponse, body: Buffer) => void;

export interface LocalServer {
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}

export async function serve(handler: Handler): Promise<LocalServer> {
  const server = http.createServer((request, response) => {
    const parts: Buffer[] = [];
    request
      .on('data', (part: Buffer) => parts.push(part))
      .on('error', () => undefined)
      .on('end', () => handler(request, response, Buffer.concat(parts)));
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/**
 * A data host: one file with ETag, Range and If-Match, written in chunks of a given size, that can be made to
 * fail.
 */
export class FileHost {
  public content: Buffer;
  public etag: string;
  public chunkBytes = 65_536;
  public useRange = true;
  public sendLength = true;
  /** Else an answer ends when its connection does, and one that is cut looks like a whole one. */
  public framed = true;
  public encoding: string | undefined;
  /** Cuts the connection after this many bytes of each answer. */
  public cutAfter: number[] = [];
  public readonly requests: Array<{ range?: string; ifMatch?: string; url: string }> = [];
  public constructor(content: Buffer | string) {
    this.content = Buffer.from(content as Buffer);
    this.etag = `"${crypto.createHash('md5').update(this.content).digest('hex')}"`;
  }

  /** Answers before the file does: a status, or `undefined` to let the file answer. */
  public intercept: (request: http.IncomingMessage, response: http.ServerResponse) => boolean = () => false;

  public replace(content: string): void {
    this.content = Buffer.from(content);
    this.etag = `"${crypto.createHash('md5').update(this.content).digest('hex')}"`;
  }

  public gzip(): this {
    this.content = zlib.gzipSync(this.content);
    return this;
  }

  public readonly handle: Handler = (request, response) => {
    this.requests.push({
      range: request.headers.range,
      ifMatch: request.headers['if-match'],
      url: request.url!,
    });
    if (this.intercept(request, response)) {
      return;
    }
    if (request.headers['if-match'] !== undefined && request.headers['if-match'] !== this.etag) {
      response.writeHead(412).end();
      return;
    }
    const range = this.useRange ? /^bytes=(\d+)-$/.exec(request.headers.range ?? '') : null;
    const start = range ? Number(range[1]) : 0;
    if (range && start >= this.content.length) {
      response.writeHead(416, { 'content-range': `bytes */${this.content.length}` }).end();
      return;
    }
    const body = this.content.subarray(start);
    if (!this.framed) response.useChunkedEncodingByDefault = response.shouldKeepAlive = false;
    response.writeHead(range ? 206 : 200, {
      etag: this.etag,
      ...(this.sendLength && this.framed ? { 'content-length': body.length } : {}),
      ...(range
        ? { 'content-range': `bytes ${start}-${this.content.length - 1}/${this.content.length}` }
        : {}),
      ...(this.encoding ? { 'content-encoding': this.encoding } : {}),
    });
    this.write(response, body, this.cutAfter.shift());
  };

  private write(response: http.ServerResponse, body: Buffer, cutAfter: number | undefined): void {
    const end = Math.min(body.length, cutAfter ?? body.length);
    let at = 0;
    const next = () => {
      if (at < end) {
        const chunk = body.subarray(at, Math.min(at + this.chunkBytes, end));
        at += chunk.length;
        response.write(chunk, () => (this.chunkBytes < 64 && at % 512 !== 0 ? next() : setImmediate(next)));
      } else if (this.framed && cutAfter !== undefined && cutAfter < body.length) {
        response.destroy();
      } else {
        response.end();
      }
    };
    next();
  }
}

export interface ReceivedBatch {
  readonly key: string;
  readonly body: Buffer;
  readonly headers: http.IncomingHttpHeaders;
  readonly accepted: boolean;
}

/** A destination: lists what it received; `answer` may answer in its place. */
export class Sink {
  public readonly received: ReceivedBatch[] = [];
  public active = 0;
  public mostActive = 0;
  public answer: (
    request: http.IncomingMessage,
    response: http.ServerResponse,
    index: number,
    body: Buffer,
  ) => boolean = () => false;

  public readonly handle: Handler = (request, response, body) => {
    const index = this.received.length;
    this.active += 1;
    this.mostActive = Math.max(this.mostActive, this.active);
    response.once('close', () => {
      this.active -= 1;
    });
    const accepted = !this.answer(request, response, index, body);
    this.received.push({
      key: String(request.headers['idempotency-key']),
      body,
      headers: request.headers,
      accepted,
    });
    if (accepted) {
      response.end('{}');
    }
  };

  public get accepted(): ReceivedBatch[] {
    return this.received.filter(batch => batch.accepted);
  }

  /** The accepted bodies without their brackets, joined: the records in the order of arrival. */
  public get records(): string[] {
    return this.accepted.flatMap(batch => splitTopLevel(batch.body.toString()));
  }
}

/** The texts of the elements of a JSON array, bytes untouched. */
export function splitTopLevel(array: string): string[] {
  const texts: string[] = [];
  let depth = 0;
  let inString = false;
  let start = 1;
  for (let i = 0; i < array.length; i += 1) {
    const char = array[i];
    if (inString) {
      if (char === '\\') i += 1;
      else if (char === '"') inString = false;
    } else if (char === '"') {
      inString = true;
    } else if (char === '[' || char === '{') {
      depth += 1;
    } else if (char === ']' || char === '}') {
      depth -= 1;
    }
    if (!inString && ((char === ',' && depth === 1) || depth === 0)) {
      texts.push(array.slice(start, i).trim());
      start = i + 1;
    }
  }
  return texts.length === 1 && texts[0] === '' ? [] : texts;
}

export interface ReceivedStatus {
  readonly state: string;
  readonly progress: number;
  readonly errors: string[];
  readonly reason: string;
}

/** The platform's status endpoint. */
export class Callback {
  public readonly statuses: ReceivedStatus[] = [];
  public readonly requests: Array<{ method?: string; url?: string; headers: http.IncomingHttpHeaders }> = [];
  /** Answers in place of 200: a status, or 0 to cut the connection. */
  public failures: number[] = [];
  public down = false;

  public readonly handle: Handler = (request, response, body) => {
    const failure = this.down ? 503 : this.failures.shift();
    this.requests.push({ method: request.method, url: request.url, headers: request.headers });
    if (failure === 0) {
      response.destroy();
    } else if (failure !== undefined) {
      response.writeHead(failure).end();
    } else {
      this.statuses.push(JSON.parse(body.toString()) as ReceivedStatus);
      response.end();
    }
  };
}
