/** Which operation of S3 a request is, and which permissions that operation needs. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { PSEUDO_PARAMETERS } from '../../template/intrinsics';
import { notImplemented, ServiceError } from '../aws-json';

export interface S3Request {
  readonly operation: string;
  readonly bucket: string;
  readonly key: string;
  readonly query: URLSearchParams;
  /** With an `authorization` header, even where the request is a presigned URL. */
  readonly headers: IncomingHttpHeaders;
}

export interface Permission {
  readonly action: string;
  readonly resource: string;
  readonly context?: Record<string, string>;
}

interface Route {
  readonly operation: string;
  readonly method: string;
  readonly on: 'service' | 'bucket' | 'object';
  /** Query parameters without which it would be another operation. */
  readonly required?: string[];
  readonly optional?: string[];
}

const THINGS = { service: 'the service', bucket: 'a bucket', object: 'an object' };
const PAGE = ['prefix', 'delimiter', 'max-keys', 'encoding-type'];

const ROUTES: Route[] = [
  { operation: 'ListBuckets', method: 'GET', on: 'service' },
  { operation: 'CreateBucket', method: 'PUT', on: 'bucket' },
  { operation: 'DeleteBucket', method: 'DELETE', on: 'bucket' },
  { operation: 'HeadBucket', method: 'HEAD', on: 'bucket' },
  { operation: 'GetBucketLocation', method: 'GET', on: 'bucket', required: ['location'] },
  { operation: 'GetBucketVersioning', method: 'GET', on: 'bucket', required: ['versioning'] },
  {
    operation: 'ListObjectsV2',
    method: 'GET',
    on: 'bucket',
    required: ['list-type'],
    optional: [...PAGE, 'continuation-token', 'start-after', 'fetch-owner'],
  },
  {
    operation: 'ListObjectVersions',
    method: 'GET',
    on: 'bucket',
    required: ['versions'],
    optional: [...PAGE, 'key-marker', 'version-id-marker'],
  },
  { operation: 'DeleteObjects', method: 'POST', on: 'bucket', required: ['delete'] },
  { operation: 'GetObject', method: 'GET', on: 'object', optional: ['versionId'] },
  { operation: 'HeadObject', method: 'HEAD', on: 'object', optional: ['versionId'] },
  {
    operation: 'GetObjectTagging',
    method: 'GET',
    on: 'object',
    required: ['tagging'],
    optional: ['versionId'],
  },
  { operation: 'DeleteObject', method: 'DELETE', on: 'object', optional: ['versionId'] },
  { operation: 'PutObject', method: 'PUT', on: 'object' },
  { operation: 'CreateMultipartUpload', method: 'POST', on: 'object', required: ['uploads'] },
  { operation: 'UploadPart', method: 'PUT', on: 'object', required: ['partNumber', 'uploadId'] },
  { operation: 'CompleteMultipartUpload', method: 'POST', on: 'object', required: ['uploadId'] },
  { operation: 'AbortMultipartUpload', method: 'DELETE', on: 'object', required: ['uploadId'] },
];

/**
 * Headers that ask for what is not done here: they fail loudly, since otherwise an object would lack what its
 * writer believes it has.
 */
const REFUSED_HEADER = new RegExp(
  '^x-amz-(acl$|grant-|object-lock|website-redirect|write-offset|mfa$|expected-bucket-owner$' +
    '|source-expected|copy-source-if|server-side-encryption-customer|copy-source-server-side)',
);

/** Of its UTF-8 form: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html */
const MAX_KEY_BYTES = 1024;

export function parseRequest(request: IncomingMessage, now: number): S3Request {
  const url = new URL(request.url ?? '/', 'http://local');
  const [bucket, ...rest] = url.pathname.slice(1).split('/').map(decode);
  const key = rest.join('/');
  if (Buffer.byteLength(key) > MAX_KEY_BYTES) {
    throw new ServiceError('KeyTooLongError', 'Your key is too long', 400);
  }
  const query = url.searchParams;
  const on = key ? 'object' : bucket ? 'bucket' : 'service';
  // SDKs name the operation in x-id; X-Amz-… are the parts of a presigned URL's signature.
  const names = [...new Set(query.keys())].filter(
    name => name !== 'x-id' && !/^x-amz-/i.test(name) && !/^response-/.test(name),
  );
  const found = ROUTES.find(
    ({ method, on: level, required = [], optional = [] }) =>
      method === request.method &&
      level === on &&
      required.every(name => names.includes(name)) &&
      names.every(name => required.includes(name) || optional.includes(name)),
  );
  const copies = request.headers['x-amz-copy-source'] !== undefined;
  if (!found || (copies && found.operation !== 'PutObject')) {
    throw notImplemented('S3', `${request.method} on ${THINGS[on]} with ${describe(names, copies)}`);
  }
  const refused = Object.keys(request.headers).find(name => REFUSED_HEADER.test(name));
  if (refused) throw notImplemented('S3', `${found.operation} with the header ${refused}`);
  const operation = copies ? 'CopyObject' : found.operation;
  return { operation, bucket, key, query, headers: withCredential(request.headers, query, now) };
}

function describe(names: string[], copies: boolean): string {
  const parts = [...names, ...(copies ? ['x-amz-copy-source'] : [])];
  return parts.length > 0 ? parts.join(', ') : 'no parameters';
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ServiceError('InvalidURI', "Couldn't parse the specified URI.");
  }
}

/**
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html; the signature itself is not
 * verified here.
 */
function withCredential(
  headers: IncomingHttpHeaders,
  query: URLSearchParams,
  now: number,
): IncomingHttpHeaders {
  const credential = query.get('X-Amz-Credential');
  if (credential === null) return headers;
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(query.get('X-Amz-Date') ?? '') ?? [];
  const signed = Date.UTC(
    Number(year),
    Number(month) - 1,
    Number(day),
    Number(hour),
    Number(minute),
    Number(second),
  );
  const expires = signed + Number(query.get('X-Amz-Expires')) * 1000;
  if (!(expires > signed)) {
    throw new ServiceError(
      'AuthorizationQueryParametersError',
      'X-Amz-Date and X-Amz-Expires must be given',
      400,
    );
  }
  if (now > expires) {
    throw new ServiceError('AccessDenied', 'Request has expired', 403, {
      Expires: new Date(expires).toISOString(),
    });
  }
  return { ...headers, authorization: `AWS4-HMAC-SHA256 Credential=${credential}` };
}

export function bucketArn(bucket: string): string {
  return `arn:${PSEUDO_PARAMETERS['AWS::Partition']}:s3:::${bucket}`;
}

export function objectArn(bucket: string, key: string): string {
  return `${bucketArn(bucket)}/${key}`;
}

const ACTIONS: Record<string, string> = {
  HeadBucket: 'ListBucket',
  HeadObject: 'GetObject',
  ListObjectsV2: 'ListBucket',
  ListObjectVersions: 'ListBucketVersions',
  CopyObject: 'PutObject', // and GetObject on its source
  CreateMultipartUpload: 'PutObject',
  UploadPart: 'PutObject',
  CompleteMultipartUpload: 'PutObject',
};

/**
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html; DeleteObjects asks
 * for each of its objects.
 */
export function permissionOf({ operation, bucket, key, query }: S3Request): Permission | undefined {
  if (operation === 'DeleteObjects') return undefined;
  if (operation === 'ListBuckets') return { action: 's3:ListAllMyBuckets', resource: '*' };
  const action = `s3:${ACTIONS[operation] ?? operation}`;
  if (key) return versionPermission(action, objectArn(bucket, key), query.get('versionId'));
  const context = Object.fromEntries(
    ['prefix', 'delimiter', 'max-keys'].flatMap(name => {
      const value = query.get(name);
      return value === null ? [] : [[`s3:${name}`, value]];
    }),
  );
  return { action, resource: bucketArn(bucket), context };
}

/** A request that names a version needs a permission of its own. */
export function versionPermission(
  action: string,
  resource: string,
  versionId: string | null | undefined,
): Permission {
  return versionId
    ? { action: `${action}Version`, resource, context: { 's3:VersionId': versionId } }
    : { action, resource };
}
