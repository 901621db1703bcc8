import { randomUUID } from 'node:crypto';
import type {
  DeleteItemCommandInput,
  DeleteItemCommandOutput,
  GetItemCommandInput,
  GetItemCommandOutput,
  PutItemCommandInput,
  PutItemCommandOutput,
  QueryCommandInput,
  QueryCommandOutput,
  TransactWriteItemsCommandInput,
  TransactWriteItemsCommandOutput,
  UpdateItemCommandInput,
  UpdateItemCommandOutput,
} from '@aws-sdk/client-dynamodb';
import type { JsonClient, JsonService } from './json';

/** A type and not an interface, so that it matches `Operations`. */
export type DynamoDbOperations = {
  DeleteItem: { input: DeleteItemCommandInput; output: Answer<DeleteItemCommandOutput> };
  GetItem: { input: GetItemCommandInput; output: Answer<GetItemCommandOutput> };
  PutItem: { input: PutItemCommandInput; output: Answer<PutItemCommandOutput> };
  Query: { input: QueryCommandInput; output: Answer<QueryCommandOutput> };
  UpdateItem: { input: UpdateItemCommandInput; output: Answer<UpdateItemCommandOutput> };
  TransactWriteItems: {
    input: TransactWriteItemsCommandInput;
    output: Answer<TransactWriteItemsCommandOutput>;
  };
};
type Answer<Output> = Omit<Output, '$metadata'>;

export type DynamoDb = JsonClient<DynamoDbOperations>;

export const DYNAMODB: JsonService<DynamoDbOperations> = {
  signingName: 'dynamodb',
  endpointPrefix: 'dynamodb',
  environmentName: 'DYNAMODB',
  version: '1.0',
  target: 'DynamoDB_20120810',
  baseDelayMs: 25, // as in AWS's SDKs
  retried: ['ReplicatedWriteConflictException'],
  // A transaction whose answer was lost is sent again under the same token, and counts once.
  complete: (operation, input) =>
    operation === 'TransactWriteItems' ? { ClientRequestToken: randomUUID(), ...input } : input,
};
