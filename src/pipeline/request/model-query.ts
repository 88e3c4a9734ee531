import type { Instant } from '../../core/clock.ts';
import type { GatewayRequest, Spent } from './gateway-request.ts';

export interface ChatMessage {
  readonly role: 'system' | 'user';
  readonly content: string;
}

/** A query that Breakwater itself sends to a model on behalf of a request. */
export interface ModelQuery {
  readonly parent: GatewayRequest;
  /** Numbers the queries of one request, from 1. */
  readonly number: number;
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  readonly deadline: Instant;
  /** Aborted when the reply is no longer needed. */
  readonly signal: AbortSignal;
  /** Called once with what it has cost, before the reply; not called if nothing was sent. */
  readonly onSpent: (spent: Spent) => void;
}

export type ModelReply = { readonly ok: true; readonly text: string } | { readonly ok: false; readonly why: string };
