/**
 * Whether a JSON text is what a request asks for. The schema comes from a caller and the text from a model, and neither may hold up everybody
 * else or fill the memory: they are read in a thread of its own, with limits on time and memory, started with the first schema. Whoever
 * asks much waits behind himself: each client has one query in the thread at a time. Beyond a limit nothing is said against the resolve.
 */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { ResponseFormat } from '../../../wire/dialect.ts';
import type { Fit, SchemaQuery, SchemaReply } from './messages.ts';

/** Longer schemas, as they are written, and longer texts are not judged, in characters. */
const FORMAT_CHARS_MAX = 128 * 1024;
const TEXT_CHARS_MAX = 1024 * 1024;
/** Questions of one client that wait for their turn. */
const WAITING_MAX = 100;
/** Of the thread's heap, in MB. Where it is full the thread ends, and another takes its place. */
const HEAP_MB_MAX = 128;

const WORKER = new URL(`./schema-worker${extname(import.meta.url)}`, import.meta.url);

interface Waiting {
  readonly query: SchemaQuery;
  readonly resolve: (fit: Fit) => void;
}

export class SchemaCheck {
  #worker: Worker | null = null;
  #lastId = 0;
  /** By client: the first of each is being judged. */
  readonly #queue = new Map<string, Waiting[]>();

  /** `owner`: the client whose schema it is. Never rejects; the resolve comes within some seconds, or not before others' do. */
  fit(owner: string, { schema, schemaText }: ResponseFormat, text: string): Fit | Promise<Fit> {
    if (text.length > TEXT_CHARS_MAX) return 'it is too large';
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return 'differs';
    }
    if (schema === null) return typeof value === 'object' && value !== null && !Array.isArray(value) ? 'fits' : 'differs';
    if (schemaText.length > FORMAT_CHARS_MAX) return 'it is too large';
    const queue = this.#queue.get(owner) ?? [];
    if (queue.length >= WAITING_MAX) return 'too many others wait';
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
    this.#worker.ref(); // while somebody waits for it, and not longer: it must not keep a process alive that is done
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

  /** Whoever is judged at the time, it may have been too much for the thread: nobody's query is tried again. */
  #lose(worker: Worker | null): void {
    if (this.#worker !== worker) return;
    this.#worker = null;
    const lost = [...this.#queue.values()].flat();
    this.#queue.clear();
    for (const { resolve } of lost) resolve('it took too long');
  }
}
