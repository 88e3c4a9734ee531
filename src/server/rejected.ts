import type { RejectedRequest } from '../pipeline/request/received.ts';
import type { Operation } from '../core/request.ts';

const operations: Readonly<Record<string, Operation>> = {
  '/v1/chat/completions': 'chat',
  '/v1/completions': 'completions',
  '/v1/embeddings': 'embeddings',
};

/** A request that is rejected by its head, before its body is read. */
export function rejectedByHead(head: Omit<RejectedRequest, 'operation' | 'model'>): RejectedRequest {
  return { ...head, operation: operations[head.path] ?? 'bytes', model: null };
}
