/** Anthropic's message batches. */
import type { Received } from '../dialect.ts';
import type { BatchStore, StormBatch } from './batch-store.ts';
import type { ItemRequest } from './process-item.ts';
import { refusal, reply, type BatchReply } from './reply.ts';

const DAY_MS = 86_400_000;

export class AnthropicBatches {
  readonly #batches: BatchStore;
  readonly #downloads = new Map<string, number>();

  constructor(batches: BatchStore) {
    this.#batches = batches;
  }

  /** `path`: without its version. Null: it is not one of these. */
  answer(received: Received, path: string, key: string): BatchReply | null {
    const { method } = received;
    const [found, id, action] = /^\/messages\/batches(?:\/([^/]+))?(?:\/([^/]+))?$/.exec(path) ?? [];
    if (found === undefined) return null;
    if (id === undefined) return method === 'POST' ? this.#create(received, key) : this.#list(key);
    const batch = this.#batches.get(key, id);
    if (method === 'GET' && action === undefined && this.#batches.hidesPoll()) return refusal(503, 'Overloaded', 'overloaded_error');
    if (batch === undefined) return refusal(404, `Batch ${id} not found`, 'not_found_error');
    if (method === 'DELETE') {
      this.#batches.delete(id);
      return reply(200, { id, type: 'message_batch_deleted' });
    }
    if (action === 'cancel') this.#batches.cancel(batch);
    return action === 'results' ? this.#results(batch) : reply(200, toObject(batch));
  }

  #create({ body, headers }: Received, key: string): BatchReply {
    if (this.#batches.refuses()) return refusal(429, 'Too many requests in batches.', 'rate_limit_error', { 'retry-after': '1' });
    const asked = JSON.parse(body.toString('utf8')) as { requests: { custom_id: string; params: ItemRequest['body'] }[] };
    if (this.#batches.fault === 'invalid') return refusal(400, 'requests.0.params: invalid');
    const items = asked.requests.map(({ custom_id: customId, params }) => ({ customId, path: '/v1/messages', body: params }));
    const batch = this.#batches.create('msgbatch_storm', { key, items, asked: {}, headers });
    return this.#batches.losesReply() ? { status: 0, body: '' } : reply(200, toObject(batch));
  }

  #list(key: string): BatchReply {
    const data = this.#batches.list(key).filter(({ id }) => id.startsWith('msgbatch_')).slice(0, 100); // prettier-ignore
    return reply(200, { data: data.map(toObject), has_more: false, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null });
  }

  #results(batch: StormBatch): BatchReply {
    if (!isOver(batch)) return refusal(404, 'The results are not available yet.', 'not_found_error');
    const lines = batch.items.map(({ customId }) => JSON.stringify({ custom_id: customId, result: resultOf(batch, customId) }));
    const content = Buffer.from(`${lines.reverse().join('\n')}\n`);
    const downloads = (this.#downloads.get(batch.id) ?? 0) + 1;
    this.#downloads.set(batch.id, downloads);
    const half = content.subarray(0, Math.floor(content.length * 0.6));
    if (this.#batches.fault === 'short') return { status: 200, body: half };
    if (this.#batches.fault === 'cut' && downloads <= 2) return { status: 200, body: half, length: content.length };
    return { status: 200, body: content };
  }
}

function isOver({ state }: StormBatch): boolean {
  return state !== 'running' && state !== 'cancelling';
}

function resultOf(batch: StormBatch, customId: string): object {
  const response = batch.results.get(customId);
  if (response === undefined) return { type: batch.state === 'expired' ? 'expired' : 'canceled' };
  const body = JSON.parse(response.body) as unknown;
  return response.status === 200 ? { type: 'succeeded', message: body } : { type: 'errored', error: body };
}

function toObject(batch: StormBatch): object {
  const { id, items, results, state } = batch;
  const over = isOver(batch);
  const succeeded = [...results.values()].filter(({ status }) => status === 200).length;
  const left = items.length - results.size;
  const date = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());
  return {
    id,
    type: 'message_batch',
    processing_status: over ? 'ended' : state === 'cancelling' ? 'canceling' : 'in_progress',
    request_counts: over
      ? {
          processing: 0,
          succeeded,
          errored: results.size - succeeded,
          canceled: state === 'expired' ? 0 : left,
          expired: state === 'expired' ? left : 0,
        }
      : { processing: items.length, succeeded: 0, errored: 0, canceled: 0, expired: 0 },
    created_at: date(batch.createdAtMs),
    expires_at: date(batch.createdAtMs + DAY_MS),
    ended_at: date(batch.endedAtMs),
    cancel_initiated_at: date(batch.cancelledAtMs),
    archived_at: null,
    results_url: over ? `/v1/messages/batches/${id}/results` : null,
  };
}
