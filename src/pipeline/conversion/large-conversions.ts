/**
 * Converts large requests in a worker thread: parsing and writing 16 MB takes half a second, which would block the event loop. One
 * conversion runs at a time; clients take turns. `convertRequest` then returns the cached result. If a conversion fails in the thread, the
 * request is converted where it is used.
 */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { cacheConversion, speaks } from '../../wire/conversion.ts';
import type { TargetWire } from '../../wire/conversion.ts';
import { parseExact } from '../../wire/json-exact.ts';
import type { Fields } from '../../wire/loose-values.ts';
import type { RequestBody } from '../../wire/request-body.ts';
import { holderOf } from '../request/gateway-request.ts';
import type { GatewayRequest } from '../request/gateway-request.ts';
import type { Tiers } from '../route/route.ts';
import type { ConversionQuestion, ConversionReply } from './messages.ts';

/** Smaller requests are converted where they are used, in about 10 ms. */
const LARGE_BYTES = 512 * 1024;

const WORKER = new URL(`./conversion-worker${extname(import.meta.url)}`, import.meta.url);

/** The conversions of one request. */
export interface Preparation {
  /** Resolves when all are done, failed or cancelled. Never rejects. */
  readonly done: Promise<void>;
  readonly isDone: boolean;
  cancel(): void;
}

export function isLarge(body: RequestBody): boolean {
  return body.bytes.byteLength >= LARGE_BYTES;
}

class Task implements Preparation {
  readonly holder: string;
  readonly question: Omit<ConversionQuestion, 'id' | 'to' | 'can'>;
  readonly body: RequestBody;
  readonly wires: TargetWire[];
  readonly done: Promise<void>;
  isDone = false;
  #resolve: () => void = () => {};

  constructor(request: GatewayRequest, body: RequestBody, wires: TargetWire[]) {
    this.holder = holderOf(request.client);
    this.question = { from: request.dialect.name, bytes: body.bytes, stream: request.facts.stream };
    this.body = body;
    this.wires = wires;
    this.done = new Promise((resolve) => (this.#resolve = resolve));
  }

  cancel(): void {
    this.wires.length = 0;
    this.end();
  }

  end(): void {
    this.isDone = true;
    this.#resolve();
  }
}

export class LargeConversions {
  #worker: Worker | null = null;
  #lastId = 0;
  /** Bounded by the memory limit of request bodies. */
  readonly #waiting: Task[] = [];
  #running: { readonly id: number; readonly task: Task; readonly wire: TargetWire } | null = null;
  #lastHolder: string | null = null;

  /** Starts the conversions for all targets that need one; null: none needed in advance. */
  prepare(request: GatewayRequest, tiers: Tiers): Preparation | null {
    const { facts, dialect } = request;
    const body = request.history?.body ?? request.body;
    if (!isLarge(body) || facts.operation !== 'chat') return null;
    const wires = new Map<string, TargetWire>();
    for (const { state } of tiers.flat()) if (!speaks(dialect, state)) wires.set(state.wire.key, state.wire);
    if (wires.size === 0) return null;
    const task = new Task(request, body, [...wires.values()]);
    this.#waiting.push(task);
    this.#next();
    return task;
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    this.#lose(worker);
    await worker?.terminate();
  }

  #next(): void {
    if (this.#running !== null) return;
    const task = this.#takeTask();
    if (task === null) {
      this.#worker?.unref();
      return;
    }
    const wire = task.wires.shift()!;
    const id = ++this.#lastId;
    try {
      this.#worker ??= this.#start();
      this.#worker.ref();
      this.#worker.postMessage({ ...task.question, id, to: wire.dialect.name, can: wire.can } satisfies ConversionQuestion);
    } catch {
      // No thread can be started (ERR_WORKER_INIT_FAILED): the request is converted where it is used.
      task.cancel();
      return this.#next();
    }
    this.#running = { id, task, wire };
  }

  /** The oldest task of a different client than the last one, else the oldest; cancelled tasks are dropped. */
  #takeTask(): Task | null {
    for (let i = this.#waiting.length - 1; i >= 0; i--) if (this.#waiting[i]!.isDone) this.#waiting.splice(i, 1);
    const other = this.#waiting.findIndex(({ holder }) => holder !== this.#lastHolder);
    const [task] = this.#waiting.splice(Math.max(0, other), 1);
    if (task === undefined) return null;
    this.#lastHolder = task.holder;
    return task;
  }

  #take({ id, converted, echo }: ConversionReply): void {
    if (this.#running?.id !== id) return;
    const { task, wire } = this.#running;
    this.#running = null;
    const made = converted?.ok === true ? { ...converted, echo: parseExact(echo) as Fields } : converted;
    if (made !== null) cacheConversion(task.body, wire.key, made);
    if (task.wires.length > 0) this.#waiting.push(task);
    else task.end();
    this.#next();
  }

  #start(): Worker {
    const worker = new Worker(WORKER, { name: 'breakwater-conversions' });
    worker.on('message', (reply: ConversionReply) => this.#take(reply));
    worker.on('error', () => this.#lose(worker));
    worker.on('exit', () => this.#lose(worker));
    return worker;
  }

  #lose(worker: Worker | null): void {
    if (this.#worker !== worker) return;
    this.#worker = null;
    const lost = [...this.#waiting.splice(0), ...(this.#running === null ? [] : [this.#running.task])];
    this.#running = null;
    for (const task of lost) task.cancel();
  }
}
