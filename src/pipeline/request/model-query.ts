import type { Instant } from '../../core/clock.ts';
import type { GatewayRequest } from './gateway-request.ts';

export interface ChatMessage {
  readonly role: 'system' | 'user';
  readonly content: string;
}

/** A question of our own to a model, on behalf of a request. */
export interface ModelQuery {
  readonly parent: GatewayRequest;
  /** Counts the questions of one request, from 1. */
  readonly number: number;
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  readonly deadline: Instant;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

export type ModelReply = { readonly ok: true; readonly text: string } | { readonly ok: false; readonly why: string };
