import type { Instant } from '../core/clock.ts';
import type { BreakwaterError } from '../core/errors.ts';
import type { RejectedEvent } from '../core/events.ts';
import type { Operation, Protocol } from '../core/request.ts';

export interface RejectedRequest {
  readonly method: string;
  readonly path: string;
  readonly protocol: Protocol;
  readonly client: string | null;
}

const operations: Readonly<Record<string, Operation>> = {
  '/v1/chat/completions': 'chat',
  '/v1/completions': 'completions',
  '/v1/embeddings': 'embeddings',
};

/** A request that the server turns away before the engine has seen it. */
export function rejectedEvent(requestId: string, at: Instant, error: BreakwaterError, request: RejectedRequest): RejectedEvent {
  const { status, code, message } = error;
  return {
    type: 'rejected',
    requestId,
    at,
    status,
    code,
    message,
    ...request,
    operation: operations[request.path] ?? 'bytes',
    model: null,
  };
}
