import { createHash } from 'node:crypto';
import * as http from 'node:http';
import { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketLocationCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutBucketTaggingCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as s3 from 'aws-cdk-lib/aws-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ALGORITHMS, checksum } from '../src/aws/s3/checksums';
import { S3 } from '../src/aws/s3/s3';
import { type RunningStack, startStack } from '../src/testing/stack';
import { clientFor } from '../src/testing/stand-ins';

let stack: RunningStack;
let client: S3Client;

beforeAll(async () => {
  stack = await startStack(scope => {
    new s3.Bucket(scope, 'Plain', {
      bucketName: 'plain',
      enforceSSL: true,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const versioned = new s3.Bucket(scope, 'Versioned', {
      bucketName: 'versioned',
      versioned: true,
      lifecycleRules: [{ noncurrentVersionsToRetain: 1, noncurrentVersionExpiration: Duration.days(1) }],
    });
    const writer = new iam.Role(scope, 'Writer', {
      assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
    });
    writer.addToPolicy(
      new iam.PolicyStatement({ actions: ['s3:PutObject'], resources: [versioned.arnForObjects('out/*')] }),
    );
    const reader = new iam.Role(scope, 'Reader', {
      assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
    });
    reader.addToPolicy(
      new iam.PolicyStatement({ actions: ['s3:GetObject'], resources: [versioned.arnForObjects('*')] }),
    );
  });
  client = new S3Client(clientFor(stack, 's3'));
});

afterAll(async () => {
  client.destroy();
  await stack.stop();
});

const put = (
  Key: string,
  Body: PutObjectCommandInput['Body'] = Key,
  rest: Partial<PutObjectCommandInput> = {},
) => client.send(new PutObjectCommand({ Bucket: 'plain', Key, Body, ...rest }));

const get = async (Key: string, Bucket = 'plain', from = client) =>
  (await from.send(new GetObjectCommand({ Bucket, Key }))).Body!.transformToString();

/** A request as no SDK would send it. */
async function raw(
  method: string,
  path: string,
  headers: http.OutgoingHttpHeaders,
  body = '',
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const request = http.request(`${stack.system.endpoints.s3}${path}`, { method, headers }, response => {
      let text = '';
      response
        .setEncoding('utf8')
        .on('data', chunk => {
          text += chunk;
        })
        .on('end', () => resolve({ status: response.statusCode!, body: text }));
    });
    request.on('error', reject).end(body);
  });
}

const chunked = (size: number) => ({
  'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
  'content-encoding': 'aws-chunked',
  'x-amz-decoded-content-length': size,
  'x-amz-trailer': 'x-amz-checksum-crc32',
});

describe('an upload', () => {
  it('has a key of at most 1,024 bytes', async () => {
    await put('é'.repeat(512), 'x');
    await expect(put(`${'é'.repeat(512)}x`, 'x')).rejects.toMatchObject({ name: 'KeyTooLongError' });
  });

  it('comes back as it was sent, with its metadata', async () => {
    const { ETag } = await put('a folder/ümlaut & <angle>.txt', 'hello', {
      Metadata: { commit: 'abc', ref: 'refs/heads/main' },
      ContentType: 'text/plain',
      CacheControl: 'no-store',
      ContentEncoding: 'identity',
    });
    const answer = await client.send(
      new GetObjectCommand({
        Bucket: 'plain',
        Key: 'a folder/ümlaut & <angle>.txt',
        ChecksumMode: 'ENABLED',
      }),
    );
    expect(await answer.Body!.transformToString()).toBe('hello');
    expect(ETag).toBe(`"${createHash('md5').update('hello').digest('hex')}"`);
    expect(answer).toMatchObject({
      ETag,
      Metadata: { commit: 'abc', ref: 'refs/heads/main' },
      ContentType: 'text/plain',
      CacheControl: 'no-store',
      ContentEncoding: 'identity',
      ContentLength: 5,
      ChecksumCRC32: 'NhCmhg==',
      ChecksumType: 'FULL_OBJECT',
      ServerSideEncryption: 'AES256',
      AcceptRanges: 'bytes',
    });
  });

  it('is freed of its aws-chunked framing when it is streamed', async () => {
    const parts = Array.from({ length: 40 }, (_, index) => Buffer.alloc(10_000, index));
    const { ChecksumCRC32 } = await put('streamed', Readable.from(parts), {
      ContentLength: 400_000,
      ContentEncoding: 'gzip',
    });
    const answer = await client.send(new GetObjectCommand({ Bucket: 'plain', Key: 'streamed' }));
    expect(Buffer.concat(parts).equals(await answer.Body!.transformToByteArray())).toBe(true);
    expect(answer).toMatchObject({ ContentLength: 400_000, ContentEncoding: 'gzip' });
    expect(ChecksumCRC32).toMatch(/^.{6}==$/);
  });

  it('may be empty', async () => {
    await put('empty', '');
    expect(await get('empty')).toBe('');
  });

  it.each(ALGORITHMS)('is refused with a wrong %s and taken with the right one', async algorithm => {
    const sum = (text: string) => {
      const computing = checksum(algorithm);
      computing.update(Buffer.from(text));
      return computing.digest().toString('base64');
    };
    await expect(
      put(`wrong-${algorithm}`, 'content', { [`Checksum${algorithm}`]: sum('other') }),
    ).rejects.toMatchObject({ name: 'BadDigest' });
    await expect(get(`wrong-${algorithm}`)).rejects.toMatchObject({ name: 'NoSuchKey' });
    expect(
      await put(`right-${algorithm}`, 'content', { [`Checksum${algorithm}`]: sum('content') }),
    ).toMatchObject({ [`Checksum${algorithm}`]: sum('content') });
  });

  it.each([
    ['BadDigest', createHash('md5').update('other').digest('base64')],
    ['InvalidDigest', 'c2hvcnQ='],
  ])('is refused with %s for a wrong Content-MD5', async (name, ContentMD5) => {
    await expect(put('md5', 'content', { ContentMD5 })).rejects.toMatchObject({ name });
  });

  it.each([
    ['XAmzContentSHA256Mismatch', { 'x-amz-content-sha256': '0'.repeat(64) }, 'content'],
    ['InvalidRequest', { 'x-amz-checksum-crc32': 'AAAAAAAA' }, 'content'],
    ['InvalidRequest', { 'x-amz-checksum-crc32': 'AAAAAA==', 'x-amz-checksum-sha1': 'x' }, 'content'],
    ['BadDigest', chunked(7), '7\r\ncontent\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n'],
    ['MalformedTrailerError', chunked(7), '7\r\ncontent\r\n0\r\n\r\n'],
    ['IncompleteBody', chunked(8), '7\r\ncontent\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n'],
    ['IncompleteBody', chunked(7), '7\r\ncontent\r\n'],
    ['InvalidRequest', chunked(7), '6\r\ncontent\r\n0\r\n\r\n'],
    ['InvalidRequest', chunked(7), 'content\r\n'],
  ])('is refused with %s for headers %j and the body %j', async (code, headers, body) => {
    const answer = await raw('PUT', '/plain/refused', { ...headers, 'content-length': body.length }, body);
    expect(answer.status).toBe(400);
    expect(answer.body).toContain(`<Code>${code}</Code>`);
    await expect(get('refused')).rejects.toMatchObject({ name: 'NoSuchKey' });
  });

  it('takes chunks that are signed and split at any byte', async () => {
    const body =
      '4;chunk-signature=abc\r\ncont\r\n3;chunk-signature=def\r\nent\r\n0;chunk-signature=0\r\n\r\n';
    await new Promise<void>((resolve, reject) => {
      const request = http.request(
        `${stack.system.endpoints.s3}/plain/split`,
        {
          method: 'PUT',
          headers: {
            'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
            'x-amz-decoded-content-length': 7,
            'content-length': body.length,
          },
        },
        response =>
          response.statusCode === 200 ? resolve() : reject(new Error(String(response.statusCode))),
      );
      request.setNoDelay(true);
      for (const character of body) request.write(character);
      request.on('error', reject).end();
    });
    expect(await get('split')).toBe('content');
  });

  it('leaves nothing behind when its client dies', async () => {
    await put('kept', 'old');
    const request = http.request(`${stack.system.endpoints.s3}/plain/kept`, {
      method: 'PUT',
      headers: { 'content-length': 1000 },
    });
    const closed = new Promise(resolve => request.on('error', resolve).on('close', resolve));
    await new Promise(resolve => request.write('half', resolve));
    request.destroy();
    await closed;
    expect(await get('kept')).toBe('old');
  });

  it('is not made over an existing object with If-None-Match: *', async () => {
    await put('once', 'first', { IfNoneMatch: '*' });
    await expect(put('once', 'second', { IfNoneMatch: '*' })).rejects.toMatchObject({
      name: 'PreconditionFailed',
      $metadata: { httpStatusCode: 412 },
    });
    expect(await get('once')).toBe('first');
  });

  it('has exactly one winner when many race with If-None-Match: *', async () => {
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, (_, index) => put('race', String(index), { IfNoneMatch: '*' })),
    );
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  it('replaces with If-Match only the object that it names', async () => {
    const { ETag } = await put('matched', 'first');
    await put('matched', 'second', { IfMatch: ETag });
    await expect(put('matched', 'third', { IfMatch: ETag })).rejects.toMatchObject({
      name: 'PreconditionFailed',
    });
    expect(await get('matched')).toBe('second');
  });

  it('fails as often as a test wants, and the SDK tries again', async () => {
    stack.system.service(S3).failNext('PutObject', 2, 503);
    const { $metadata } = await put('stubborn', Buffer.from('content'));
    expect($metadata.attempts).toBe(3);
    expect(await get('stubborn')).toBe('content');
  });
});

describe('a download', () => {
  const range = (Range: string) =>
    client.send(new GetObjectCommand({ Bucket: 'plain', Key: 'digits', Range }));

  beforeAll(() => put('digits', '0123456789'));

  it.each([
    ['bytes=2-4', '234', 'bytes 2-4/10'],
    ['bytes=7-', '789', 'bytes 7-9/10'],
    ['bytes=-3', '789', 'bytes 7-9/10'],
    ['bytes=8-100', '89', 'bytes 8-9/10'],
  ])('of %s gives %s', async (header, text, ContentRange) => {
    const answer = await range(header);
    expect(await answer.Body!.transformToString()).toBe(text);
    expect(answer).toMatchObject({
      ContentRange,
      ContentLength: text.length,
      $metadata: { httpStatusCode: 206 },
    });
  });

  it('beyond the end is refused', async () => {
    await expect(range('bytes=10-')).rejects.toMatchObject({
      name: 'InvalidRange',
      $metadata: { httpStatusCode: 416 },
    });
  });

  it('honours If-Match and If-None-Match', async () => {
    const conditional = (condition: object) =>
      client.send(new GetObjectCommand({ Bucket: 'plain', Key: 'digits', ...condition }));
    const { ETag } = await client.send(new HeadObjectCommand({ Bucket: 'plain', Key: 'digits' }));
    await expect(conditional({ IfMatch: '"other"' })).rejects.toMatchObject({
      $metadata: { httpStatusCode: 412 },
    });
    await expect(conditional({ IfNoneMatch: ETag })).rejects.toMatchObject({
      $metadata: { httpStatusCode: 304 },
    });
    expect((await conditional({ IfMatch: ETag })).ContentLength).toBe(10);
  });

  it('works by a presigned URL until it expires', async () => {
    const date = new Date(Date.now() - 60_000).toISOString().replace(/[-:]|\.\d+/g, '');
    const credential = 'local%2F20260101%2Fus-east-1%2Fs3%2Faws4_request';
    const url = (seconds: number) =>
      `/plain/digits?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${credential}&X-Amz-Date=${date}` +
      `&X-Amz-Expires=${seconds}&X-Amz-SignedHeaders=host&X-Amz-Signature=0`;
    expect(await raw('GET', url(3600), {})).toEqual({ status: 200, body: '0123456789' });
    const late = await raw('GET', url(30), {});
    expect(late.status).toBe(403);
    expect(late.body).toContain('<Message>Request has expired</Message>');
  });

  it('of what is not there is NoSuchKey, its head NotFound, in an unknown bucket NoSuchBucket', async () => {
    await expect(get('nothing')).rejects.toMatchObject({ name: 'NoSuchKey' });
    await expect(
      client.send(new HeadObjectCommand({ Bucket: 'plain', Key: 'nothing' })),
    ).rejects.toMatchObject({ name: 'NotFound' });
    await expect(get('nothing', 'no-such-bucket')).rejects.toMatchObject({ name: 'NoSuchBucket' });
  });
});

describe('a versioned bucket', () => {
  it('keeps every version, and hides an object behind a delete marker', async () => {
    const ids: string[] = [];
    for (const Body of ['one', 'two']) {
      ids.push((await client.send(new PutObjectCommand({ Bucket: 'versioned', Key: 'k', Body }))).VersionId!);
    }
    expect(await get('k', 'versioned')).toBe('two');
    const first = await client.send(
      new GetObjectCommand({ Bucket: 'versioned', Key: 'k', VersionId: ids[0] }),
    );
    expect(await first.Body!.transformToString()).toBe('one');

    const { DeleteMarker, VersionId } = await client.send(
      new DeleteObjectCommand({ Bucket: 'versioned', Key: 'k' }),
    );
    expect(DeleteMarker).toBe(true);
    await expect(get('k', 'versioned')).rejects.toMatchObject({ name: 'NoSuchKey' });
    const listed = await client.send(new ListObjectVersionsCommand({ Bucket: 'versioned', Prefix: 'k' }));
    expect(listed.Versions?.map(version => [version.VersionId, version.IsLatest])).toEqual([
      [ids[1], false],
      [ids[0], false],
    ]);
    expect(listed.DeleteMarkers).toMatchObject([{ Key: 'k', VersionId, IsLatest: true }]);

    await client.send(new DeleteObjectCommand({ Bucket: 'versioned', Key: 'k', VersionId }));
    expect(await get('k', 'versioned')).toBe('two');
    await expect(
      client.send(new GetObjectCommand({ Bucket: 'versioned', Key: 'k', VersionId: 'unknown' })),
    ).rejects.toMatchObject({ name: 'NoSuchVersion' });
  });

  it('lists its versions page by page, none twice', async () => {
    for (const Key of ['p/1', 'p/2', 'p/2', 'p/2', 'p/3']) {
      await client.send(new PutObjectCommand({ Bucket: 'versioned', Key, Body: 'x' }));
    }
    const keys: string[] = [];
    for (let marker = {}, more = true; more; ) {
      const page = await client.send(
        new ListObjectVersionsCommand({ Bucket: 'versioned', Prefix: 'p/', MaxKeys: 2, ...marker }),
      );
      keys.push(...page.Versions!.map(({ Key, VersionId }) => `${Key} ${VersionId}`));
      marker = { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker };
      more = page.IsTruncated!;
    }
    expect(keys.map(text => text.slice(0, 3))).toEqual(['p/1', 'p/2', 'p/2', 'p/2', 'p/3']);
    expect(new Set(keys).size).toBe(5);
  });

  it('shares no version ids with one that is not versioned', async () => {
    expect((await put('unversioned')).VersionId).toBeUndefined();
  });
});

describe('a listing', () => {
  beforeAll(async () => {
    for (const Key of ['l/a', 'l/b/1', 'l/b/2', 'l/c & d', 'l/e']) await put(Key);
  });

  const list = (rest: object) =>
    client.send(new ListObjectsV2Command({ Bucket: 'plain', Prefix: 'l/', ...rest }));

  it('groups keys by a delimiter', async () => {
    const { Contents, CommonPrefixes, KeyCount, IsTruncated } = await list({ Delimiter: '/' });
    expect(Contents?.map(({ Key }) => Key)).toEqual(['l/a', 'l/c & d', 'l/e']);
    expect(CommonPrefixes).toEqual([{ Prefix: 'l/b/' }]);
    expect([KeyCount, IsTruncated]).toEqual([4, false]);
  });

  it.each([
    [{}, ['l/a', 'l/b/1', 'l/b/2', 'l/c & d', 'l/e']],
    [{ Delimiter: '/' }, ['l/a', 'l/b/', 'l/c & d', 'l/e']],
    [{ StartAfter: 'l/b/1' }, ['l/b/2', 'l/c & d', 'l/e']],
  ])('comes in pages with %j', async (rest, expected) => {
    const seen: string[] = [];
    let ContinuationToken: string | undefined;
    do {
      const page = await list({ ...rest, MaxKeys: 1, ContinuationToken });
      seen.push(
        ...[...(page.Contents ?? []), ...(page.CommonPrefixes ?? [])].map(item =>
          'Key' in item ? item.Key! : (item as { Prefix: string }).Prefix,
        ),
      );
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken);
    expect(seen).toEqual(expected);
  });

  it('orders keys by their bytes and can encode them', async () => {
    for (const Key of ['o/z', 'o/Z', 'o/é', 'o/😀', 'o/\uFF5E']) await put(Key, 'x');
    const { Contents } = await client.send(new ListObjectsV2Command({ Bucket: 'plain', Prefix: 'o/' }));
    expect(Contents!.map(({ Key }) => Key)).toEqual(['o/Z', 'o/z', 'o/é', 'o/\uFF5E', 'o/😀']);
    const encoded = await client.send(
      new ListObjectsV2Command({ Bucket: 'plain', Prefix: 'o/é', EncodingType: 'url' }),
    );
    expect(encoded.Contents![0].Key).toBe('o/%C3%A9');
  });
});

describe('buckets and objects', () => {
  it('are made, listed, copied and deleted', async () => {
    await client.send(new CreateBucketCommand({ Bucket: 'made' }));
    expect((await client.send(new ListBucketsCommand({}))).Buckets!.map(({ Name }) => Name)).toEqual([
      'made',
      'plain',
      'versioned',
    ]);
    await client.send(new HeadBucketCommand({ Bucket: 'made' }));
    expect(
      (await client.send(new GetBucketLocationCommand({ Bucket: 'made' }))).LocationConstraint,
    ).toBeFalsy();
    await put('source & more', 'content', { Metadata: { a: '1' } });
    await client.send(
      new CopyObjectCommand({ Bucket: 'made', Key: 'copy', CopySource: encodeURI('plain/source & more') }),
    );
    const { Metadata } = await client.send(new HeadObjectCommand({ Bucket: 'made', Key: 'copy' }));
    expect([await get('copy', 'made'), Metadata]).toEqual(['content', { a: '1' }]);
    await expect(client.send(new DeleteBucketCommand({ Bucket: 'made' }))).rejects.toMatchObject({
      name: 'BucketNotEmpty',
    });
    const { Deleted } = await client.send(
      new DeleteObjectsCommand({
        Bucket: 'made',
        Delete: { Objects: [{ Key: 'copy' }, { Key: 'never there' }] },
      }),
    );
    expect(Deleted!.map(({ Key }) => Key)).toEqual(['copy', 'never there']);
    await client.send(new DeleteBucketCommand({ Bucket: 'made' }));
    await expect(client.send(new HeadBucketCommand({ Bucket: 'made' }))).rejects.toMatchObject({
      name: 'NotFound',
    });
  });

  it('refuse loudly what is not done here', async () => {
    const tagging = client.send(new PutBucketTaggingCommand({ Bucket: 'plain', Tagging: { TagSet: [] } }));
    await expect(tagging).rejects.toMatchObject({
      name: 'NotImplemented',
      message: expect.stringContaining('PUT on a bucket with tagging'),
    });
    await expect(put('acl', 'x', { ACL: 'public-read' })).rejects.toMatchObject({
      name: 'NotImplemented',
      message: expect.stringContaining('x-amz-acl'),
    });
  });
});

describe('tags', () => {
  const tagsOf = async (Key: string) =>
    (await client.send(new GetObjectTaggingCommand({ Bucket: 'plain', Key }))).TagSet;

  it('come with an object, are counted with it, and go with its copy', async () => {
    await put('tagged', 'x', { Tagging: 'a=b&c%20d=1' });
    const { TagCount, ContentType } = await client.send(
      new GetObjectCommand({ Bucket: 'plain', Key: 'tagged' }),
    );
    expect([TagCount, ContentType]).toEqual([2, 'application/octet-stream']);
    const tags = [
      { Key: 'a', Value: 'b' },
      { Key: 'c d', Value: '1' },
    ];
    expect(await tagsOf('tagged')).toEqual(tags);
    const copy = { Bucket: 'plain', Key: 'copy of tagged', CopySource: 'plain/tagged' };
    await client.send(new CopyObjectCommand({ ...copy, MetadataDirective: 'REPLACE' }));
    expect(await tagsOf('copy of tagged')).toEqual(tags);
    await client.send(new CopyObjectCommand({ ...copy, TaggingDirective: 'REPLACE', Tagging: 'e=f' }));
    expect(await tagsOf('copy of tagged')).toEqual([{ Key: 'e', Value: 'f' }]);
  });

  it.each([
    ['a=1&a=2', 'InvalidTag'],
    [`a=${'x'.repeat(257)}`, 'InvalidTag'],
    [Array.from({ length: 11 }, (_, n) => `k${n}=v`).join('&'), 'BadRequest'],
  ])('%s are refused', (Tagging, name) =>
    expect(put('tagged badly', 'x', { Tagging })).rejects.toMatchObject({ name }),
  );

  it('need a permission of their own', async () => {
    const writer = new S3Client({ ...clientFor(stack, 's3', 'Writer'), forcePathStyle: true });
    const write = (rest: object) =>
      writer.send(new PutObjectCommand({ Bucket: 'versioned', Key: 'out/a', Body: 'x', ...rest }));
    await write({});
    await expect(write({ Tagging: 'a=b' })).rejects.toMatchObject({
      message: expect.stringContaining('s3:PutObjectTagging'),
    });
  });
});

describe('a multipart upload', () => {
  const Bucket = 'versioned';
  const start = async (Key: string) => {
    const command = new CreateMultipartUploadCommand({
      Bucket,
      Key,
      ContentType: 'application/zip',
      Metadata: { m: '1' },
    });
    return (await client.send(command)).UploadId!;
  };
  const upload = (Key: string, UploadId: string, PartNumber: number, Body: Buffer) =>
    client.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body }));
  const complete = (Key: string, UploadId: string, Parts: object[], rest = {}) =>
    client.send(
      new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts }, ...rest }),
    );

  it('becomes one object of its parts', async () => {
    const big = Buffer.alloc(5 * 1024 * 1024, 'a');
    const UploadId = await start('big');
    const parts = [];
    for (const [PartNumber, body] of [
      [1, big],
      [2, Buffer.from('end')],
    ] as const) {
      const { ETag, ChecksumCRC32 } = await upload('big', UploadId, PartNumber, body);
      parts.push({ PartNumber, ETag, ChecksumCRC32 });
    }
    const { ETag } = await complete('big', UploadId, parts);
    const answer = await client.send(new GetObjectCommand({ Bucket, Key: 'big', ChecksumMode: 'ENABLED' }));
    expect(Buffer.concat([big, Buffer.from('end')]).equals(await answer.Body!.transformToByteArray())).toBe(
      true,
    );
    const md5 = (data: Buffer) => createHash('md5').update(data).digest();
    const expected = `"${md5(Buffer.concat([md5(big), md5(Buffer.from('end'))])).toString('hex')}-2"`;
    expect([ETag, answer.ETag, answer.ContentType, answer.Metadata, answer.ChecksumType]).toEqual([
      expected,
      expected,
      'application/zip',
      { m: '1' },
      'FULL_OBJECT',
    ]);
    await expect(complete('big', UploadId, parts)).rejects.toMatchObject({ name: 'NoSuchUpload' });
  });

  it('that named a checksum algorithm wants a checksum with each part, and with each part of its end', async () => {
    const { UploadId, ChecksumAlgorithm } = await client.send(
      new CreateMultipartUploadCommand({ Bucket, Key: 'summed', ChecksumAlgorithm: 'SHA256' }),
    );
    expect(ChecksumAlgorithm).toBe('SHA256');
    const part = { Bucket, Key: 'summed', UploadId: UploadId!, PartNumber: 1, Body: Buffer.from('1') };
    await expect(
      client.send(new UploadPartCommand({ ...part, ChecksumAlgorithm: 'CRC32' })),
    ).rejects.toMatchObject({ name: 'InvalidRequest' });
    const { ETag, ChecksumSHA256 } = await client.send(
      new UploadPartCommand({ ...part, ChecksumAlgorithm: 'SHA256' }),
    );
    await expect(complete('summed', UploadId!, [{ PartNumber: 1, ETag }])).rejects.toMatchObject({
      name: 'InvalidRequest',
    });
    await expect(
      complete('summed', UploadId!, [{ PartNumber: 1, ETag, ChecksumSHA256: 'wrong' }]),
    ).rejects.toMatchObject({ name: 'InvalidPart' });
    const of = createHash('sha256').update(Buffer.from(ChecksumSHA256!, 'base64')).digest('base64');
    expect(await complete('summed', UploadId!, [{ PartNumber: 1, ETag, ChecksumSHA256 }])).toMatchObject({
      ChecksumSHA256: `${of}-1`,
      ChecksumType: 'COMPOSITE',
    });
  });

  it('is refused with parts that are too small, out of order or unknown', async () => {
    const UploadId = await start('odd');
    const [one, two] = [
      await upload('odd', UploadId, 1, Buffer.from('1')),
      await upload('odd', UploadId, 2, Buffer.from('2')),
    ];
    const [first, second] = [
      { PartNumber: 1, ETag: one.ETag },
      { PartNumber: 2, ETag: two.ETag },
    ];
    await expect(complete('odd', UploadId, [first, second])).rejects.toMatchObject({
      name: 'EntityTooSmall',
    });
    await expect(complete('odd', UploadId, [second, first])).rejects.toMatchObject({
      name: 'InvalidPartOrder',
    });
    await expect(complete('odd', UploadId, [{ PartNumber: 1, ETag: two.ETag }])).rejects.toMatchObject({
      name: 'InvalidPart',
    });
    await complete('odd', UploadId, [{ PartNumber: 2, ETag: two.ETag }]);
    expect(await get('odd', Bucket)).toBe('2');
  });

  it('respects If-None-Match at its end, and can be aborted', async () => {
    await client.send(new PutObjectCommand({ Bucket, Key: 'taken', Body: 'first' }));
    const UploadId = await start('taken');
    const { ETag } = await upload('taken', UploadId, 1, Buffer.from('second'));
    await expect(
      complete('taken', UploadId, [{ PartNumber: 1, ETag }], { IfNoneMatch: '*' }),
    ).rejects.toMatchObject({ name: 'PreconditionFailed' });
    await client.send(new AbortMultipartUploadCommand({ Bucket, Key: 'taken', UploadId }));
    await expect(upload('taken', UploadId, 1, Buffer.from('x'))).rejects.toMatchObject({
      name: 'NoSuchUpload',
    });
    expect(await get('taken', Bucket)).toBe('first');
  });
});

describe('a role', () => {
  const as = <T>(role: string, act: (s3Client: S3Client) => Promise<T>): Promise<T> => {
    const own = new S3Client(clientFor(stack, 's3', role));
    return act(own).finally(() => own.destroy());
  };

  it('may write where its policy says, and nowhere else', async () => {
    await as('Writer', async own => {
      await own.send(new PutObjectCommand({ Bucket: 'versioned', Key: 'out/1', Body: 'x' }));
      await own.send(new CreateMultipartUploadCommand({ Bucket: 'versioned', Key: 'out/2' }));
      const denied = { name: 'AccessDenied', $metadata: expect.objectContaining({ httpStatusCode: 403 }) };
      await expect(
        own.send(new PutObjectCommand({ Bucket: 'versioned', Key: 'in/1', Body: 'x' })),
      ).rejects.toMatchObject(denied);
      await expect(get('out/1', 'versioned', own)).rejects.toMatchObject(denied);
      await expect(own.send(new ListObjectsV2Command({ Bucket: 'versioned' }))).rejects.toMatchObject(denied);
      await expect(
        own.send(new CopyObjectCommand({ Bucket: 'versioned', Key: 'out/3', CopySource: 'versioned/out/1' })),
      ).rejects.toMatchObject(denied);
      const { Errors } = await own.send(
        new DeleteObjectsCommand({ Bucket: 'versioned', Delete: { Objects: [{ Key: 'out/1' }] } }),
      );
      expect(Errors).toMatchObject([{ Key: 'out/1', Code: 'AccessDenied' }]);
    });
    expect(stack.system.iam.calls).toContainEqual({
      caller: 'Writer',
      action: 's3:PutObject',
      resource: 'arn:aws:s3:::versioned/out/1',
      allowed: true,
    });
  });

  it('that may not list cannot tell a missing object from a forbidden one, and needs a permission of its own for versions', async () => {
    const { VersionId } = await client.send(
      new PutObjectCommand({ Bucket: 'versioned', Key: 'read', Body: 'x' }),
    );
    await as('Reader', async own => {
      expect(await get('read', 'versioned', own)).toBe('x');
      await expect(get('nothing', 'versioned', own)).rejects.toMatchObject({ name: 'AccessDenied' });
      await expect(
        own.send(new GetObjectCommand({ Bucket: 'versioned', Key: 'read', VersionId })),
      ).rejects.toMatchObject({ name: 'AccessDenied' });
    });
    expect(
      stack.system.iam.calls.filter(
        ({ caller, action }) => caller === 'Reader' && action === 's3:ListBucket',
      ),
    ).toEqual([]);
  });
});

it('says at start what of a bucket has no effect', () => {
  expect(stack.system.notices).toContain('Versioned: without effect here: LifecycleConfiguration');
});
