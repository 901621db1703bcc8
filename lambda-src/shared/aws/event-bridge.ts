import type { PutEventsCommandInput, PutEventsCommandOutput } from '@aws-sdk/client-eventbridge';
import type { JsonClient, JsonService } from './json';

/** A type and not an interface, so that it matches `Operations`. */
export type EventBridgeOperations = {
  PutEvents: { input: PutEventsCommandInput; output: Omit<PutEventsCommandOutput, '$metadata'> };
};

export type EventBridge = JsonClient<EventBridgeOperations>;

export const EVENT_BRIDGE: JsonService<EventBridgeOperations> = {
  signingName: 'events',
  endpointPrefix: 'events',
  environmentName: 'EVENTBRIDGE',
  version: '1.1',
  target: 'AWSEvents',
};
