/** Answers every request as DynamoDB answers a PutItem, in a process of its own: its CPU is nobody's figure. */
import { randomUUID } from 'node:crypto';
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';

const server = http.createServer((request, response) => {
  request.resume().on('end', () =>
    response
      .writeHead(200, {
        'content-type': 'application/x-amz-json-1.0',
        'content-length': '2',
        'x-amzn-requestid': randomUUID(),
        'x-amz-crc32': '2745614147',
      })
      .end('{}'),
  );
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
