import * as crypto from 'node:crypto';
import type { PushProvider } from '../../../../src/git-push-pipeline/contract';
import { type Delivery, type RefChange, type Unwanted, ZERO_ID } from '../delivery';
import type { Payload } from '../payload';
import type { WebhookRequest } from '../webhook-request';

/** What is particular to one git host: how its webhooks are recognized, authenticated and read. */
export interface GitHost {
  readonly provider: PushProvider;
  /** Whether the request has this host's form, judged by its headers alone. */
  detect(request: WebhookRequest): boolean;
  /** Whether the request proves that its sender knows one of the secrets, in the host's own way. */
  authenticate(request: WebhookRequest, secrets: readonly string[], nowMs: number): boolean;
  /** Only ever called with a request that was found authentic. */
  read(request: WebhookRequest, payload: Payload): Delivery | Unwanted;
}

export function singleChange(payload: Payload): RefChange {
  return {
    ref: payload.get('ref').text(),
    before: payload.get('before').text(),
    after: payload.get('deleted').is(true) ? ZERO_ID : payload.get('after').text(),
  };
}

/** A delivery without an id of its own is identified by its body. */
export function deliveryId({ headers, body }: WebhookRequest, ...names: readonly string[]): string {
  const given = names.map(name => headers[name]).find(value => value !== undefined && value !== '');
  return given ?? crypto.createHash('sha256').update(body).digest('hex');
}

export function texts(...values: readonly Payload[]): string[] {
  return values.map(value => value.optionalText()).filter(value => value !== undefined);
}

/** Azure DevOps and Bitbucket put the user's name, never a password, into the address. */
export function withoutUser(address: string): string {
  return address.replace(/^https:\/\/[^/@:]*@/, 'https://');
}

export function unwanted(provider: PushProvider, event: string | undefined): Unwanted {
  const name = (event ?? 'without a name').replace(/[^\x20-\x7e]/g, '?').slice(0, 100);
  if (event === 'ping') return { provider, reason: 'ping', detail: 'ping answered' };
  return { provider, reason: 'event-not-wanted', detail: `the event "${name}" is not a push` };
}
