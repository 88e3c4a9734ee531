/**
 * Validates JSON texts against the schemas of requests. Schemas come from callers and texts from models, and neither may block others or
 * exhaust memory: they are processed in a worker thread with limits on time and memory, started with the first schema. Each client has one
 * query in the thread at a time. Beyond a limit there is no verdict.
 */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { isRecord, parseOrUndefined } from '../../../core/json.ts';
import type { ResponseFormat } from '../../../wire/dialect.ts';
import type { Fit, SchemaQuery, SchemaReply } from './messages.ts';

/** Limits of schemas and texts, in characters; longer ones are not validated. */
const FORMAT_CHARS_MAX = 128 * 1024;
const TEXT_CHARS_MAX = 1024 * 1024;
/** Maximum waiting queries of one client. */
const WAITING_MAX = 100;
/** Heap limit of the thread, in MB. When exceeded, the thread ends and is replaced. */
const HEAP_MB_MAX = 128;

const WORKER = new URL(`./schema-worker${extname(import.meta.url)}`, import.meta.url);

interface Waiting {
  readonly query: SchemaQuery;
  readonly resolve: (fit: Fit) => void;
}

export class SchemaCheck {
  #worker: Worker | null = null;
  #lastId = 0;
  /** By client: the first query of each is in progress. */
  readonly #queue = new Map<string, Waiting[]>();

  /** `owner`: the client that the schema belongs to. Never rejects. */
  fit(owner: string, { schema, schemaText }: ResponseFormat, text: string): Fit | Promise<Fit> {
    if (text.length > TEXT_CHARS_MAX) return 'it is too large';
    const value = parseOrUndefined(text);
    if (value === undefined) return 'differs';
    if (schema === null) return isRecord(value) ? 'fits' : 'differs';
    if (schemaText.length > FORMAT_CHARS_MAX) return 'it is too large';
    const queue = this.#queue.get(owner) ?? [];
    if (queue.length >= WAITING_MAX) return 'too many validations are queued';
    this.#queue.set(owner, queue);
    return new Promise((resolve) => {
      queue.push({ query: { id: ++this.#lastId, owner, schema: schemaText, text }, resolve });
      if (queue.length === 1) this.#post(queue[0]!.query);
    });
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    this.#lose(worker);
    await worker?.terminate();
  }

  #post(query: SchemaQuery): void {
    this.#worker ??= this.#start();
    this.#worker.ref(); // only while a query waits, so that the worker does not keep the process alive
    this.#worker.postMessage(query);
  }

  #start(): Worker {
    const resourceLimits = { maxOldGenerationSizeMb: HEAP_MB_MAX, maxYoungGenerationSizeMb: 16 };
    const worker = new Worker(WORKER, { name: 'breakwater-schemas', resourceLimits });
    worker.on('message', (reply: SchemaReply) => this.#answered(reply));
    worker.on('error', () => this.#lose(worker));
    worker.on('exit', () => this.#lose(worker));
    return worker;
  }

  #answered({ id, fit }: SchemaReply): void {
    for (const [owner, queue] of this.#queue) {
      if (queue[0]?.query.id !== id) continue;
      const { resolve } = queue.shift()!;
      if (queue.length > 0) this.#post(queue[0].query);
      else this.#queue.delete(owner);
      if (this.#queue.size === 0) this.#worker?.unref();
      resolve(fit);
      return;
    }
  }

  /** Ends all queries without a verdict when the worker dies: any of them may have been the cause. */
  #lose(worker: Worker | null): void {
    if (this.#worker !== worker) return;
    this.#worker = null;
    const lost = [...this.#queue.values()].flat();
    this.#queue.clear();
    for (const { resolve } of lost) resolve('it timed out');
  }
}
