/**
 * Answers as DynamoDB, SQS and Secrets Manager answer, in a process of its own: its CPU is in no figure, and
 * is printed at the end. It stores nothing and refuses nothing.
 */
import { createHash, randomUUID } from 'node:crypto';
import * as http from 'node:http';
import * as https from 'node:https';
import type { AddressInfo } from 'node:net';
import { crc32 } from 'node:zlib';

interface Batch {
  readonly Entries: readonly { readonly Id: string; readonly MessageBody: string }[];
}

const ANSWERS: Record<string, (input: never) => object> = {
  'secretsmanager.GetSecretValue': () => ({ Name: 'bench', SecretString: 'the value of the secret' }),
  'AmazonSQS.SendMessageBatch': ({ Entries }: Batch) => ({
    Successful: Entries.map(({ Id, MessageBody }) => ({
      Id,
      MessageId: randomUUID(),
      MD5OfMessageBody: createHash('md5').update(MessageBody).digest('hex'),
    })),
  }),
};

let requests = 0;

const answer: http.RequestListener = (request, response) => {
  const chunks: Buffer[] = [];
  request
    .on('data', (chunk: Buffer) => chunks.push(chunk))
    .on('end', () => {
      requests += 1;
      const target = ANSWERS[String(request.headers['x-amz-target'])];
      const body = target
        ? JSON.stringify(target(JSON.parse(Buffer.concat(chunks).toString()) as never))
        : '{}';
      response
        .writeHead(200, {
          'content-type': 'application/x-amz-json-1.0',
          'content-length': Buffer.byteLength(body),
          'x-amzn-requestid': randomUUID(),
          'x-amz-crc32': String(crc32(body)), // as DynamoDB: the SDK for Go checks it
        })
        .end(body);
    });
};

const { BENCH_KEY: key, BENCH_CERTIFICATE: cert } = process.env;
const servers = [http.createServer(answer), https.createServer({ key, cert }, answer)];

async function main(): Promise<void> {
  const ports = await Promise.all(
    servers.map(
      server =>
        new Promise<number>(resolve => {
          server.keepAliveTimeout = 60_000;
          server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
        }),
    ),
  );
  const begin = process.cpuUsage();
  process.on('message', () => {
    const { user, system } = process.cpuUsage(begin);
    process.send?.({ requests, cpuUs: user + system });
  });
  process.send?.(ports);
}

void main();
