/**
 * The frames in which Lambda's own runtimes write log records to `_LAMBDA_TELEMETRY_LOG_FD`, so that a record
 * may have several lines: four bytes of type, four of length, eight of time, then the text; all big-endian.
 * https://github.com/aws/aws-lambda-python-runtime-interface-client (FramedTelemetryLogSink)
 */
const HEADER_BYTES = 16;
/** The type without its last byte, which gives format and level. */
const MAGIC = Buffer.from([0xa5, 0x5a, 0x00]);
/** Lambda cuts longer log records. */
const MAX_RECORD_BYTES = 1024 * 1024;

export function readFrames(stream: NodeJS.ReadableStream, onRecord: (text: string) => void): void {
  let rest = Buffer.alloc(0);
  stream.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= HEADER_BYTES) {
      const length = rest.readUInt32BE(4);
      if (!rest.subarray(0, MAGIC.length).equals(MAGIC) || length > MAX_RECORD_BYTES) {
        onRecord(rest.toString('utf8')); // not a frame: pass on what came, and start anew
        rest = Buffer.alloc(0);
      } else if (rest.length < HEADER_BYTES + length) {
        return;
      } else {
        onRecord(rest.toString('utf8', HEADER_BYTES, HEADER_BYTES + length));
        rest = rest.subarray(HEADER_BYTES + length);
      }
    }
  });
}
