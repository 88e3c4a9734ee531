/**
 * Large requests are converted in a thread of their own, one after the other: parsing and writing 16 MB takes half a second, in which the
 * event loop would serve no other caller. The engine then finds the conversion made. A request whose conversion fails there is converted
 * where it is used.
 */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { rememberConversion, speaks } from '../../wire/conversion.ts';
import type { TargetWire } from '../../wire/conversion.ts';
import { parseExact } from '../../wire/json-exact.ts';
import type { Fields } from '../../wire/loose-values.ts';
import type { DialectName } from '../../wire/model.ts';
import type { RequestBody } from '../../wire/request-body.ts';
import type { GatewayRequest } from '../request/gateway-request.ts';
import type { Route } from '../route/route.ts';
import type { ConversionQuestion, ConversionReply } from './messages.ts';

/** A smaller request is converted where it is used, which takes some 10 ms at most. */
const LARGE_BYTES = 512 * 1024;

const WORKER = new URL(`./conversion-worker${extname(import.meta.url)}`, import.meta.url);

type Answer = (converted: ConversionReply['converted']) => void;

export class LargeConversions {
  #worker: Worker | null = null;
  #lastId = 0;
  /** Bounded by the room for bodies. */
  readonly #waiting = new Map<number, Answer>();

  /** Null: there is nothing to be converted ahead. Never rejects. */
  prepare(request: GatewayRequest, route: Route): Promise<void> | null {
    const { facts, dialect } = request;
    const body = request.history?.body ?? request.body;
    if (body.bytes.byteLength < LARGE_BYTES || facts.operation !== 'chat' || route.areAllSpeaking(dialect)) return null;
    const wires = new Map<string, TargetWire>();
    for (const { state } of route.tiers.flat()) if (!speaks(dialect, state)) wires.set(state.wire.key, state.wire);
    return wires.size === 0 ? null : this.#convertAll(request, body, [...wires.values()]);
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    this.#lose(worker);
    await worker?.terminate();
  }

  async #convertAll({ facts, dialect }: GatewayRequest, body: RequestBody, wires: readonly TargetWire[]): Promise<void> {
    for (const wire of wires) {
      const converted = await this.#ask(dialect.name, body.bytes, facts.stream, wire);
      if (converted !== null) rememberConversion(body, wire.key, converted);
    }
  }

  #ask(from: DialectName, bytes: Uint8Array, stream: boolean, { dialect, can }: TargetWire): Promise<ConversionReply['converted']> {
    return new Promise((answer) => {
      const id = ++this.#lastId;
      this.#waiting.set(id, answer);
      this.#worker ??= this.#start();
      this.#worker.ref();
      this.#worker.postMessage({ id, from, to: dialect.name, bytes, stream, can } satisfies ConversionQuestion);
    });
  }

  #start(): Worker {
    const worker = new Worker(WORKER, { name: 'breakwater-conversions' });
    worker.on('message', ({ id, converted, echo }: ConversionReply) => {
      const answer = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (this.#waiting.size === 0) worker.unref();
      answer?.(converted?.ok === true ? { ...converted, echo: parseExact(echo) as Fields } : converted);
    });
    worker.on('error', () => this.#lose(worker));
    worker.on('exit', () => this.#lose(worker));
    return worker;
  }

  #lose(worker: Worker | null): void {
    if (this.#worker !== worker) return;
    this.#worker = null;
    const lost = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const answer of lost) answer(null);
  }
}
