/** OpenAI's files and batches. */
import type { Received } from '../dialect.ts';
import { readMultipart } from '../openai/multipart.ts';
import type { BatchStore, StormBatch } from './batch-store.ts';
import { refusal, reply, type BatchReply } from './reply.ts';
import type { ItemRequest } from './process-item.ts';

interface StormFile {
  readonly id: string;
  readonly key: string;
  readonly purpose: string;
  readonly filename: string;
  readonly content: Buffer;
  readonly createdAt: number;
  downloads: number;
}

export class OpenaiBatches {
  readonly #batches: BatchStore;
  readonly #files = new Map<string, StormFile>();
  readonly #epochMs: () => number;
  #next = 1;

  constructor(batches: BatchStore, epochMs: () => number) {
    this.#batches = batches;
    this.#epochMs = epochMs;
  }

  get fileCount(): number {
    return this.#files.size;
  }

  reset(): void {
    this.#files.clear();
  }

  /** `path`: without its version. Null: it is not one of these. */
  answer(received: Received, path: string, key: string): BatchReply | null {
    const { method } = received;
    const [, kind, id, action] = /^\/(files|batches)(?:\/([^/]+))?(?:\/([^/]+))?$/.exec(path) ?? [];
    if (kind === 'files') return id === undefined ? this.#filesCall(received, key) : this.#fileCall(method, id, action, key);
    if (kind !== 'batches') return null;
    if (id === undefined) return method === 'POST' ? this.#create(received, key) : this.#list(key);
    const batch = this.#batches.get(key, id);
    if (method === 'GET' && this.#batches.hidesPoll()) return refusal(503, 'The server is overloaded.', 'server_error');
    if (batch === undefined) return refusal(404, `No batch found with id '${id}'.`);
    if (method === 'POST' && action === 'cancel') this.#batches.cancel(batch);
    return reply(200, this.#toObject(batch));
  }

  #filesCall({ method, body, headers }: Received, key: string): BatchReply {
    if (method !== 'POST') {
      const data = [...this.#files.values()].filter((file) => file.key === key).map(toFile);
      return reply(200, { object: 'list', data, has_more: false });
    }
    const { fields, files, fileNames } = readMultipart(body, headers['content-type'] ?? '');
    const content = files['file'];
    if (content === undefined || typeof fields['purpose'] !== 'string') return refusal(400, "'file' and 'purpose' are required.");
    return reply(200, toFile(this.#addFile({ key, purpose: fields['purpose'], content, filename: fileNames['file']! })));
  }

  #fileCall(method: string, id: string, action: string | undefined, key: string): BatchReply {
    const file = this.#files.get(id);
    if (file === undefined || file.key !== key) return refusal(404, `No such File object: ${id}`);
    if (method === 'DELETE') {
      this.#files.delete(id);
      return reply(200, { id, object: 'file', deleted: true });
    }
    if (action !== 'content') return reply(200, toFile(file));
    file.downloads++;
    return this.#download(file);
  }

  #download({ content, purpose, downloads }: StormFile): BatchReply {
    const { fault } = this.#batches;
    const isOutput = purpose === 'batch_output';
    const half = content.subarray(0, Math.floor(content.length * 0.6));
    if (isOutput && fault === 'short') return { status: 200, body: half };
    if (isOutput && fault === 'cut' && downloads <= 2) return { status: 200, body: half, length: content.length };
    return { status: 200, body: content };
  }

  #create({ body, headers }: Received, key: string): BatchReply {
    if (this.#batches.refuses()) return refusal(429, 'Enqueued token limit reached.', 'rate_limit_error', { 'retry-after': '1' });
    const asked = JSON.parse(body.toString('utf8')) as Record<string, unknown>;
    const input = this.#files.get(String(asked['input_file_id']));
    if (input === undefined || input.key !== key) return refusal(400, `No such File object: ${String(asked['input_file_id'])}`);
    const lines = input.content.toString('utf8').split('\n').filter((line) => line.trim() !== ''); // prettier-ignore
    const items = lines.map((line): ItemRequest => {
      const { custom_id: customId, url, body: request } = JSON.parse(line) as { custom_id: string; url: string; body: ItemRequest['body'] };
      return { customId, path: url, body: request };
    });
    const batch = this.#batches.create('batch_storm', { key, items, asked, headers });
    return this.#batches.losesReply() ? { status: 0, body: '' } : reply(200, this.#toObject(batch));
  }

  #list(key: string): BatchReply {
    const data = this.#batches.list(key).filter(({ id }) => id.startsWith('batch_')).slice(0, 100); // prettier-ignore
    return reply(200, { object: 'list', data: data.map((batch) => this.#toObject(batch)), has_more: false });
  }

  #addFile(sent: Pick<StormFile, 'key' | 'purpose' | 'filename' | 'content'>, id = `file-storm${this.#next++}`): StormFile {
    const file = { ...sent, id, createdAt: Math.floor(this.#epochMs() / 1000), downloads: 0 };
    this.#files.set(id, file);
    return file;
  }

  /** The result file of one kind, made when first looked for; null: it would be empty. */
  #resultFile(batch: StormBatch, kind: 'output' | 'error'): string | null {
    const id = `file-${batch.id}-${kind}`;
    if (this.#files.has(id)) return id;
    const lines = batch.items.flatMap(({ customId }) => {
      const response = batch.results.get(customId);
      if (response !== undefined)
        return (response.status === 200) === (kind === 'output') ? [lineOf(customId, response.status, response.body)] : [];
      if (kind === 'output') return [];
      const code = batch.state === 'expired' ? 'batch_expired' : 'batch_cancelled';
      return [JSON.stringify({ id: `batch_req_${customId}`, custom_id: customId, response: null, error: { code, message: code } })];
    });
    if (lines.length === 0) return null;
    // A provider writes results as they come.
    return this.#addFile(
      { key: batch.key, purpose: 'batch_output', content: Buffer.from(`${lines.reverse().join('\n')}\n`), filename: `${id}.jsonl` },
      id,
    ).id;
  }

  #toObject(batch: StormBatch): object {
    const { id, asked, state, items, results } = batch;
    const isOver = state !== 'running' && state !== 'cancelling' && state !== 'failed';
    const hasFiles = isOver && !(batch.fault === 'late-file' && batch.looks++ < 2);
    const seconds = (ms: number | null): number | null => (ms === null ? null : Math.floor(ms / 1000));
    const failed = [...results.values()].filter(({ status }) => status !== 200).length;
    return {
      id,
      object: 'batch',
      endpoint: asked['endpoint'],
      errors: state === 'failed' ? { object: 'list', data: [{ code: 'invalid_json_line', message: 'This line is not parseable.', line: 1, param: null }] } : null, // prettier-ignore
      input_file_id: asked['input_file_id'],
      completion_window: '24h',
      status: state === 'running' ? 'in_progress' : state,
      output_file_id: hasFiles ? this.#resultFile(batch, 'output') : null,
      error_file_id: hasFiles ? this.#resultFile(batch, 'error') : null,
      created_at: seconds(batch.createdAtMs),
      completed_at: state === 'completed' ? seconds(batch.endedAtMs) : null,
      request_counts: { total: items.length, completed: results.size - failed, failed },
      metadata: asked['metadata'] ?? null,
    };
  }
}

function lineOf(customId: string, status: number, body: string): string {
  const response = { status_code: status, request_id: `req_${customId}`, body: JSON.parse(body) as unknown };
  return JSON.stringify({ id: `batch_req_${customId}`, custom_id: customId, response, error: null });
}

function toFile({ id, content, purpose, filename, createdAt }: StormFile): object {
  return { id, object: 'file', bytes: content.length, created_at: createdAt, filename, purpose, status: 'processed' };
}
