/** When each client was last served with each model: to recognize models that were taken from it. Bounded in pairs and time. */

/** Maximum number of pairs of client and model; the one served least recently is dropped first. */
const pairsMax = 2_000;
const keptMs = 86_400_000;
/** A pair in steady use is written this often, as every success comes by here, in milliseconds. */
const writeEveryMs = 60_000;

interface Pair {
  readonly client: string;
  readonly model: string;
  /** In milliseconds since the epoch. */
  servedAt: number;
}

export class ServedModels {
  readonly #pairs = new Map<string, Map<string, Pair>>();
  /** In the order of their last write. */
  readonly #order = new Set<Pair>();

  add(client: string, model: string, epochMs: number): void {
    const known = this.#pairs.get(client)?.get(model);
    if (known === undefined) return this.#insert({ client, model, servedAt: epochMs });
    // Also after the wall clock was set back.
    if (Math.abs(epochMs - known.servedAt) < writeEveryMs) return;
    known.servedAt = epochMs;
    this.#order.delete(known);
    this.#order.add(known);
  }

  /** Within a day. */
  has(client: string, model: string, epochMs: number): boolean {
    return (this.#pairs.get(client)?.get(model)?.servedAt ?? -Infinity) > epochMs - keptMs;
  }

  #insert(pair: Pair): void {
    if (this.#order.size >= pairsMax) this.#dropOldest();
    this.#order.add(pair);
    const models = this.#pairs.get(pair.client);
    if (models === undefined) this.#pairs.set(pair.client, new Map([[pair.model, pair]]));
    else models.set(pair.model, pair);
  }

  #dropOldest(): void {
    const [oldest] = this.#order;
    this.#order.delete(oldest!);
    const models = this.#pairs.get(oldest!.client)!;
    models.delete(oldest!.model);
    if (models.size === 0) this.#pairs.delete(oldest!.client);
  }
}
