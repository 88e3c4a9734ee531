import type { RejectedRequest } from '../pipeline/request/received.ts';
import type { Operation } from '../core/request.ts';

const operations: Readonly<Record<string, Operation>> = {
  '/v1/chat/completions': 'chat',
  '/v1/completions': 'completions',
  '/v1/embeddings': 'embeddings',
};

/** A request that is rejected before it is passed to the engine: what its head says, and its model where that was read already. */
export function rejectedByHead(head: Omit<RejectedRequest, 'operation' | 'model'>, model: string | null = null): RejectedRequest {
  return { ...head, operation: operations[head.path] ?? 'bytes', model };
}
