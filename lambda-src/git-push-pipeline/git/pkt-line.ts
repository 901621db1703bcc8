import { GitError } from './errors';

/** pkt-line framing, https://git-scm.com/docs/gitprotocol-common#_pkt_line_format */
export type Pkt = Buffer | 'flush' | 'delimiter' | 'response-end';

export const FLUSH = '0000';
export const DELIMITER = '0001';

export function pkt(line: string): string {
  return (Buffer.byteLength(line) + 4).toString(16).padStart(4, '0') + line;
}

export class PktReader {
  private readonly iterator: AsyncIterator<Buffer>;
  private buffered: Buffer = Buffer.alloc(0);

  public constructor(source: AsyncIterable<Buffer>) {
    this.iterator = source[Symbol.asyncIterator]();
  }

  /** The next packet, or undefined where the stream ends. */
  public async next(): Promise<Pkt | undefined> {
    const head = await this.take(4);
    if (head === undefined) return undefined;
    const text = head.toString('latin1');
    if (!/^[0-9a-f]{4}$/i.test(text)) {
      throw new GitError('PROTOCOL', 'the host did not answer in the git protocol');
    }
    const length = parseInt(text, 16);
    if (length === 0) return 'flush';
    if (length === 1) return 'delimiter';
    if (length === 2) return 'response-end';
    if (length < 4) throw new GitError('PROTOCOL', 'the host sent a packet of an impossible length');
    const payload = await this.take(length - 4);
    if (payload === undefined) throw endedEarly();
    return payload;
  }

  /** The next packet as a line of text; packets that are not a line are a protocol error. */
  public async line(): Promise<string | 'flush' | 'delimiter' | undefined> {
    const packet = await this.next();
    if (packet === undefined || packet === 'flush' || packet === 'delimiter') return packet;
    if (packet === 'response-end') {
      throw new GitError('PROTOCOL', 'the host sent an unexpected end of response');
    }
    return packet.toString('utf8').replace(/\n$/, '');
  }

  /** Reads what is left, so that a kept-alive connection can be reused. */
  public async drain(): Promise<void> {
    this.buffered = Buffer.alloc(0);
    while (!(await this.iterator.next()).done);
  }

  private async take(length: number): Promise<Buffer | undefined> {
    if (this.buffered.length < length && !(await this.fill(length))) return undefined;
    const taken = this.buffered.subarray(0, length);
    this.buffered = this.buffered.subarray(length);
    return taken;
  }

  private async fill(length: number): Promise<boolean> {
    const parts = [this.buffered];
    let size = this.buffered.length;
    while (size < length) {
      const { value, done } = await this.iterator.next();
      if (done) {
        if (size > 0) throw endedEarly();
        return false;
      }
      parts.push(value);
      size += value.length;
    }
    this.buffered = parts.length === 1 ? parts[0] : Buffer.concat(parts, size);
    return true;
  }
}

function endedEarly(): GitError {
  return new GitError('CONNECT', 'the host closed the connection in the middle of its answer');
}
