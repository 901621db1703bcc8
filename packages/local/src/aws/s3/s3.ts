/**
 * A stand-in for S3, addressed by path: buckets, objects with versions and metadata, listings, multipart
 * uploads, copies, presigned URLs. Uploads are verified against every checksum that they carry.
 *
 * It has no access control lists, object lock, encryption with a customer's key, bucket policies, lifecycle,
 * replication, website or notifications, and it verifies no signature: a request for what it does not do is
 * refused by name, and the run says at the start which of a bucket's properties have no effect. KMS keys are
 * named in answers only. All of it is gone when the run ends.
 */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type * as http from 'node:http';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { Faults } from '../../faults';
import { PSEUDO_PARAMETERS } from '../../template/intrinsics';
import { ServiceError } from '../aws-json';
import { listObjects, listVersions } from './lists';
import { MultipartUploads, partNumber } from './multipart';
import { keptHeaders, type ObjectVersion, S3Objects, tagsOf } from './objects';
import {
  bucketArn,
  objectArn,
  parseRequest,
  permissionOf,
  type S3Request,
  versionPermission,
} from './routes';
import { Bucket } from './store';
import { receive } from './upload';
import { childText, malformedXml, readXml, writeXml, type XmlMembers } from './xml';
import { type Context, type Resource, type Service, unknownAttribute } from '../../service';
import { listen, readBody, type RunningServer } from '../../util/server';
import { AccessDenied } from '../iam/iam';

interface BucketProperties {
  BucketName?: string;
  VersioningConfiguration?: { Status?: string };
}

interface Call extends S3Request {
  readonly message: http.IncomingMessage;
  readonly response: http.ServerResponse;
}

const WITHOUT_EFFECT = [
  'LifecycleConfiguration',
  'NotificationConfiguration',
  'ReplicationConfiguration',
  'WebsiteConfiguration',
  'CorsConfiguration',
  'ObjectLockConfiguration',
  'LoggingConfiguration',
];

const MAX_DELETES = 1000;

export class S3 implements Service {
  public readonly types = ['AWS::S3::Bucket', 'AWS::S3::BucketPolicy'];
  public readonly endpoint = { name: 's3', url: () => this.server.url };
  private server!: RunningServer;
  private readonly folder = mkdtempSync(path.join(tmpdir(), 'serverless-blocks-s3-'));
  private readonly buckets = new Map<string, Bucket>();
  private readonly uploads = new MultipartUploads();
  private readonly objects: S3Objects;
  private readonly faults = new Faults();

  private readonly operations: Record<string, (call: Call) => void | Promise<void>> = {
    ListBuckets: call => this.listBuckets(call),
    CreateBucket: call => this.createBucket(call),
    DeleteBucket: call => this.deleteBucket(call),
    HeadBucket: call => this.headBucket(call),
    GetBucketLocation: call => this.getBucketLocation(call),
    GetBucketVersioning: call =>
      answerXml(call, 'VersioningConfiguration', {
        Status: this.bucketOf(call).versioned ? 'Enabled' : undefined,
      }),
    ListObjectsV2: call => this.listObjects(call),
    ListObjectVersions: call =>
      answerXml(call, 'ListVersionsResult', listVersions(this.bucketOf(call), call.query)),
    GetObject: call => this.getObject(call),
    HeadObject: call => this.getObject(call),
    GetObjectTagging: call => this.getTagging(call),
    PutObject: async call =>
      answer(call, 200, await this.objects.put(call.message, call, this.bucketOf(call))),
    CopyObject: call => this.copyObject(call),
    DeleteObject: call => this.deleteObject(call),
    DeleteObjects: call => this.deleteObjects(call),
    CreateMultipartUpload: call => this.createUpload(call),
    UploadPart: call => this.uploadPart(call),
    CompleteMultipartUpload: call => this.completeUpload(call),
    AbortMultipartUpload: call => this.abortUpload(call),
  };

  public constructor(private readonly context: Context) {
    this.objects = new S3Objects(this.folder, () => context.clock.now());
  }

  public async start(): Promise<void> {
    this.server = await listen((message, response) => this.serve(message, response));
  }

  /** Makes the next calls of an operation fail, for instance `failNext('PutObject', 2, 503)`. */
  public failNext(operation: string, times: number, statusCode: number): void {
    this.faults.failNext(operation, times, statusCode);
  }

  /** A bucket by its name. */
  public bucket(name: string): Bucket {
    return this.bucketOf({ bucket: name });
  }

  public ref(resource: Resource): string {
    return bucketName(resource);
  }

  public attribute(resource: Resource, name: string): unknown {
    const bucket = bucketName(resource);
    const { 'AWS::URLSuffix': suffix, 'AWS::Region': region } = PSEUDO_PARAMETERS;
    switch (name) {
      case 'Arn':
        return bucketArn(bucket);
      case 'DomainName':
        return `${bucket}.s3.${suffix}`;
      case 'RegionalDomainName':
        return `${bucket}.s3.${region}.${suffix}`;
      default:
        throw unknownAttribute(resource, name);
    }
  }

  public async create(resource: Resource): Promise<void> {
    if (resource.type !== 'AWS::S3::Bucket') return;
    const properties = resource.resolve(resource.properties) as BucketProperties;
    const name = bucketName(resource);
    this.buckets.set(
      name,
      new Bucket(name, properties.VersioningConfiguration?.Status === 'Enabled', this.context.clock.now()),
    );
    const ignored = WITHOUT_EFFECT.filter(property => property in properties);
    if (ignored.length > 0) {
      this.context.notice(`${resource.name}: without effect here: ${ignored.join(', ')}`);
    }
  }

  public async stop(): Promise<void> {
    await this.server?.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async serve(message: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    response.setHeader('x-amz-request-id', randomUUID());
    try {
      const request = parseRequest(message, this.context.clock.now());
      const failure = this.faults.take(request.operation);
      if (failure) {
        throw new ServiceError(
          failure === 503 ? 'SlowDown' : 'InternalError',
          'This call was made to fail',
          failure,
        );
      }
      const permission = permissionOf(request);
      if (permission) {
        await this.context.iam.authorize(
          request.headers,
          permission.action,
          permission.resource,
          permission.context,
        );
      }
      if (request.headers['x-amz-tagging'] !== undefined) {
        const { bucket, key } = request;
        await this.context.iam.authorize(request.headers, 's3:PutObjectTagging', objectArn(bucket, key));
      }
      await this.operations[request.operation]({ ...request, message, response });
    } catch (error) {
      answerError(message, response, error);
    } finally {
      message.resume(); // what nobody read of the body must not keep the connection from its next request
    }
  }

  private bucketOf({ bucket }: { bucket: string }): Bucket {
    const found = this.buckets.get(bucket);
    if (!found) {
      throw new ServiceError('NoSuchBucket', 'The specified bucket does not exist', 404, {
        BucketName: bucket,
      });
    }
    return found;
  }

  private listBuckets(call: Call): void {
    const buckets = [...this.buckets.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    answerXml(call, 'ListAllMyBucketsResult', {
      Owner: { ID: PSEUDO_PARAMETERS['AWS::AccountId'] },
      Buckets: {
        Bucket: buckets.map(({ name, created }) => ({
          Name: name,
          CreationDate: new Date(created).toISOString(),
        })),
      },
    });
  }

  private headBucket(call: Call): void {
    this.bucketOf(call);
    answer(call, 200, { 'x-amz-bucket-region': PSEUDO_PARAMETERS['AWS::Region'] });
  }

  private getBucketLocation(call: Call): void {
    this.bucketOf(call);
    answerXml(call, 'LocationConstraint', ''); // us-east-1 has no name here
  }

  private createBucket(call: Call): void {
    const { bucket } = call;
    // S3 itself wants three characters at least; on localhost `s3 mb s3://x` is quickly tried.
    if (!/^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/.test(bucket)) {
      throw new ServiceError('InvalidBucketName', 'The specified bucket is not valid.', 400, {
        BucketName: bucket,
      });
    }
    // Creating a bucket that you own again is no error in us-east-1.
    if (!this.buckets.has(bucket)) {
      this.buckets.set(bucket, new Bucket(bucket, false, this.context.clock.now()));
    }
    answer(call, 200, { location: `/${bucket}` });
  }

  private deleteBucket(call: Call): void {
    if (!this.bucketOf(call).isEmpty) {
      throw new ServiceError('BucketNotEmpty', 'The bucket you tried to delete is not empty', 409);
    }
    this.buckets.delete(call.bucket);
    answer(call, 204);
  }

  private listObjects(call: Call): void {
    if (call.query.get('list-type') !== '2') throw new ServiceError('InvalidArgument', 'Invalid List Type');
    answerXml(call, 'ListBucketResult', listObjects(this.bucketOf(call), call.query));
  }

  private async getObject(call: Call): Promise<void> {
    const version = await this.readable(
      call,
      this.bucketOf(call),
      call.key,
      call.query.get('versionId') ?? undefined,
    );
    await this.objects.get(call, version, call.response);
  }

  private async getTagging(call: Call): Promise<void> {
    const versionId = call.query.get('versionId') ?? undefined;
    const { content } = await this.readable(call, this.bucketOf(call), call.key, versionId);
    const tags = tagsOf(content.headers['x-amz-tagging'] ?? '');
    answerXml(call, 'Tagging', { TagSet: { Tag: tags.map(([Key, Value]) => ({ Key, Value })) } });
  }

  /** Only those who may list the bucket are told that an object is not there. */
  private async readable(
    { headers }: Call,
    bucket: Bucket,
    key: string,
    versionId?: string,
  ): Promise<ObjectVersion> {
    try {
      return bucket.get(key, versionId);
    } catch (error) {
      if (await this.context.iam.allows(headers, 's3:ListBucket', bucketArn(bucket.name))) throw error;
      throw new ServiceError('AccessDenied', 'Access Denied', 403);
    }
  }

  private async copyObject(call: Call): Promise<void> {
    const source = new URL(`http://local/${String(call.headers['x-amz-copy-source']).replace(/^\//, '')}`);
    const [bucket, ...rest] = source.pathname.slice(1).split('/').map(decodeURIComponent);
    const key = rest.join('/');
    const versionId = source.searchParams.get('versionId') ?? undefined;
    const { action, resource, context } = versionPermission(
      's3:GetObject',
      objectArn(bucket, key),
      versionId,
    );
    await this.context.iam.authorize(call.headers, action, resource, context);
    const from = this.bucketOf({ bucket });
    const version = await this.readable(call, from, key, versionId);
    const { headers, etag, lastModified } = await this.objects.copy(
      call,
      this.bucketOf(call),
      from,
      key,
      version,
    );
    answerXml(
      call,
      'CopyObjectResult',
      { ETag: etag, LastModified: new Date(lastModified).toISOString() },
      headers,
    );
  }

  private deleteObject(call: Call): void {
    const bucket = this.bucketOf(call);
    const removed = bucket.delete(
      call.key,
      call.query.get('versionId') ?? undefined,
      this.context.clock.now(),
    );
    answer(
      call,
      204,
      bucket.versioned && removed
        ? { 'x-amz-version-id': removed.id, ...(!removed.content && { 'x-amz-delete-marker': 'true' }) }
        : {},
    );
  }

  private async deleteObjects(call: Call): Promise<void> {
    const bucket = this.bucketOf(call);
    const root = readXml(await this.receiveText(call), 'Delete');
    const targets = root.children
      .filter(({ name }) => name === 'Object')
      .map(element => ({ key: childText(element, 'Key'), versionId: childText(element, 'VersionId') }));
    if (targets.length === 0 || targets.length > MAX_DELETES) throw malformedXml();
    const deleted: XmlMembers[] = [];
    const errors: XmlMembers[] = [];
    for (const { key, versionId } of targets) {
      if (!key) throw malformedXml();
      const { action, resource, context } = versionPermission(
        's3:DeleteObject',
        objectArn(bucket.name, key),
        versionId,
      );
      try {
        await this.context.iam.authorize(call.headers, action, resource, context);
        const removed = bucket.delete(key, versionId, this.context.clock.now());
        const marker =
          removed && !removed.content ? { DeleteMarker: true, DeleteMarkerVersionId: removed.id } : {};
        deleted.push({ Key: key, VersionId: versionId, ...marker });
      } catch (error) {
        if (!(error instanceof AccessDenied)) throw error;
        errors.push({ Key: key, VersionId: versionId, Code: 'AccessDenied', Message: error.message });
      }
    }
    answerXml(call, 'DeleteResult', {
      Deleted: childText(root, 'Quiet') === 'true' ? [] : deleted,
      Error: errors,
    });
  }

  private createUpload(call: Call): void {
    const { name } = this.bucketOf(call);
    const id = this.uploads.create(name, call.key, call.headers, keptHeaders(call.headers));
    const { algorithm, type } = this.uploads.find(id, name, call.key);
    answerXml(
      call,
      'InitiateMultipartUploadResult',
      { Bucket: name, Key: call.key, UploadId: id },
      {
        'x-amz-checksum-algorithm': algorithm,
        'x-amz-checksum-type': type,
      },
    );
  }

  private async uploadPart(call: Call): Promise<void> {
    const upload = this.uploads.find(call.query.get('uploadId'), this.bucketOf(call).name, call.key);
    const number = partNumber(call.query.get('partNumber'));
    const part = await receive(call.message, this.objects.newFile(), upload.algorithm);
    this.uploads.addPart(upload, number, part);
    answer(call, 200, {
      etag: `"${part.md5}"`,
      [`x-amz-checksum-${part.algorithm.toLowerCase()}`]: part.checksum,
    });
  }

  private async completeUpload(call: Call): Promise<void> {
    const bucket = this.bucketOf(call);
    const upload = this.uploads.find(call.query.get('uploadId'), bucket.name, call.key);
    // A checksum among these headers is that of the whole object, not of this body.
    const body = await readBody(call.message);
    const content = await this.uploads.complete(
      upload,
      body.toString('utf8'),
      call.headers,
      this.objects.newFile(),
    );
    const stored = this.objects.store(bucket, call.key, content, call.headers);
    this.uploads.end(upload);
    answerXml(
      call,
      'CompleteMultipartUploadResult',
      {
        Location: `${this.server.url}/${bucket.name}/${call.key}`,
        Bucket: bucket.name,
        Key: call.key,
        ETag: content.etag,
        [`Checksum${content.checksum.algorithm}`]: content.checksum.value,
        ChecksumType: content.checksum.type,
      },
      stored,
    );
  }

  private abortUpload(call: Call): void {
    this.uploads.end(this.uploads.find(call.query.get('uploadId'), this.bucketOf(call).name, call.key));
    answer(call, 204);
  }

  /** A request's body, verified like any other upload. */
  private async receiveText({ message }: Call): Promise<string> {
    const { file } = await receive(message, this.objects.newFile());
    const text = readFileSync(file, 'utf8');
    rmSync(file);
    return text;
  }
}

function answer({ response }: Call, statusCode: number, headers: http.OutgoingHttpHeaders = {}): void {
  response.writeHead(statusCode, headers).end();
}

function answerXml(
  { response }: Call,
  root: string,
  members: XmlMembers | string,
  headers: http.OutgoingHttpHeaders = {},
): void {
  response.writeHead(200, { ...headers, 'content-type': 'application/xml' }).end(writeXml(root, members));
}

function answerError(message: http.IncomingMessage, response: http.ServerResponse, error: unknown): void {
  if (response.headersSent || response.destroyed) return void response.destroy();
  const [statusCode, Code, members] =
    error instanceof ServiceError
      ? [error.statusCode, error.code, error.members]
      : error instanceof AccessDenied
        ? [403, 'AccessDenied', {}]
        : [500, 'InternalError', {}];
  const { deleteMarker, ...rest } = members as { deleteMarker?: string } & XmlMembers;
  if (deleteMarker) {
    response.setHeader('x-amz-delete-marker', 'true').setHeader('x-amz-version-id', deleteMarker);
  }
  const body = writeXml(
    'Error',
    {
      Code,
      Message: (error as Error).message,
      ...rest,
      Resource: message.url,
      RequestId: String(response.getHeader('x-amz-request-id')),
    },
    '',
  );
  response
    .writeHead(statusCode, { 'content-type': 'application/xml' })
    .end(message.method === 'HEAD' ? undefined : body);
}

function bucketName({ properties, name }: Resource): string {
  if (typeof properties.BucketName === 'string') return properties.BucketName;
  return name
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 63)
    .padEnd(3, '-x');
}
