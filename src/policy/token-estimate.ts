/** Estimates what requests take in tokens, learned from the usage that providers report. */

/** Prompts are grouped by order of magnitude: long ones are more often cached, or code, than short ones. */
const SIZES = 12;
/** Responses needed before an estimate is used. */
const LEARNED_AFTER = 5;
/** The factor by which older responses count less with each new one. */
const DECAY = 0.98;
const FACTOR_MIN = 0.05;
const FACTOR_MAX = 20;
/** A small excess is harmless, because it is returned on settlement; too small an estimate exceeds a limit. */
const KEEP_ABOVE = 0.85;
const DEVIATION_WEIGHT = 0.05;

/** The ratio of counted tokens to estimated ones, by prompt size. */
class RatioBySize {
  readonly #estimated = new Float64Array(SIZES);
  readonly #counted = new Float64Array(SIZES);
  readonly #responses = new Uint32Array(SIZES);
  /** How far single responses deviate from the ratio, as a moving average. */
  readonly #deviation = new Float64Array(SIZES);

  isKnown(estimated: number): boolean {
    return this.#responses[sizeOf(estimated)]! >= LEARNED_AFTER;
  }

  /** The ratio for prompts of about this size, else over all sizes; 1 while unknown. Biased upwards by the deviation. */
  cautious(estimated: number): number {
    const size = sizeOf(estimated);
    const isKnown = this.#responses[size]! >= LEARNED_AFTER;
    const mean = isKnown ? bounded(this.#counted[size]! / this.#estimated[size]!) : this.overall;
    if (mean === 1) return 1;
    const cautious = mean + this.#deviation[size]!;
    return cautious < 1 && cautious > KEEP_ABOVE ? 1 : cautious;
  }

  get overall(): number {
    let [estimated, counted, responses] = [0, 0, 0];
    for (let size = 0; size < SIZES; size++) {
      estimated += this.#estimated[size]!;
      counted += this.#counted[size]!;
      responses += this.#responses[size]!;
    }
    return responses < LEARNED_AFTER ? 1 : bounded(counted / estimated);
  }

  learn(estimated: number, counted: number): void {
    if (!(estimated > 0) || !(counted > 0)) return;
    const size = sizeOf(estimated);
    const ratio = bounded(counted / estimated); // a single wrong count must not outweigh all others
    this.#estimated[size] = this.#estimated[size]! * DECAY + estimated;
    this.#counted[size] = this.#counted[size]! * DECAY + estimated * ratio;
    if (this.#responses[size]!++ === 0) return;
    const deviation = Math.abs(ratio - this.#counted[size] / this.#estimated[size]);
    this.#deviation[size]! += DEVIATION_WEIGHT * (deviation - this.#deviation[size]!);
  }

  reset(): void {
    this.#estimated.fill(0);
    this.#counted.fill(0);
    this.#responses.fill(0);
    this.#deviation.fill(0);
  }

  save(): (number | null)[] {
    return Array.from({ length: SIZES }, (_, size) =>
      this.#responses[size]! < LEARNED_AFTER ? null : Math.round((this.#counted[size]! / this.#estimated[size]!) * 1000) / 1000,
    );
  }

  restore(saved: readonly (number | null)[]): void {
    for (let size = 0; size < SIZES; size++) {
      const factor = saved[size];
      if (typeof factor !== 'number' || !(factor > 0)) continue;
      const usual = 4 ** size;
      this.#estimated[size] = usual * LEARNED_AFTER;
      this.#counted[size] = usual * LEARNED_AFTER * bounded(factor);
      this.#responses[size] = LEARNED_AFTER;
    }
  }
}

export interface SavedInput {
  /** By size; null: unknown. */
  readonly all: readonly (number | null)[];
  /** The same without cached input. */
  readonly uncached: readonly (number | null)[];
}

/** Estimates the input tokens of a prompt from a quarter of its bytes: including cached input, and without it. */
export class InputEstimate {
  readonly #all = new RatioBySize();
  readonly #uncached = new RatioBySize();

  /** The amount to reserve for this many estimated tokens. */
  of(estimated: number, countsCached: boolean): number {
    // That long prompts are cached says nothing about short ones.
    const ratio = countsCached || !this.#uncached.isKnown(estimated) ? this.#all : this.#uncached;
    const factor = ratio.cautious(estimated);
    return factor === 1 ? estimated : Math.ceil(estimated * factor);
  }

  /** Counted tokens per estimated one; 1 while unknown. */
  get factor(): number {
    return this.#all.overall;
  }

  /** The share of all input that was cached, from 0 to 1. */
  get cachedShare(): number {
    return Math.max(0, 1 - this.#uncached.overall / this.#all.overall);
  }

  learn(estimated: number, input: number, cached: number): void {
    this.#all.learn(estimated, input);
    this.#uncached.learn(estimated, Math.max(1, input - cached));
  }

  reset(): void {
    this.#all.reset();
    this.#uncached.reset();
  }

  /** Null: nothing is known. */
  save(): SavedInput | null {
    const all = this.#all.save();
    return all.every((factor) => factor === null) ? null : { all, uncached: this.#uncached.save() };
  }

  restore(saved: SavedInput): void {
    this.#all.restore(saved.all);
    this.#uncached.restore(saved.uncached);
  }
}

function bounded(factor: number): number {
  return Math.min(FACTOR_MAX, Math.max(FACTOR_MIN, factor));
}

function sizeOf(tokens: number): number {
  return Math.min(SIZES - 1, Math.max(0, Math.round(Math.log2(Math.max(1, tokens)) / 2)));
}

/** The assumed length of a response before any is known, in tokens. */
export const OUTPUT_FIRST = 1024;
const OUTPUT_SHARE = 0.9;
const OUTPUT_LEARNED_AFTER = 20;
/** Clients with an estimate of their own; the others share one. */
const CLIENTS_MAX = 100;

interface OutputQuantile {
  log: number;
  count: number;
}

export interface SavedOutput {
  readonly client: string;
  readonly tokens: number;
}

/**
 * The 90th percentile of the length of responses, for each client of one model. Stored as one number that rises a little with a longer
 * response and falls by a ninth of that with a shorter one, so that nine in ten responses are shorter (Robbins and Monro, 1951).
 */
export class OutputEstimate {
  readonly #clients = new Map<string, OutputQuantile>();

  /** In tokens. */
  of(client: string): number {
    const known = this.#clients.get(client) ?? this.#clients.get('');
    return known === undefined || known.count < OUTPUT_LEARNED_AFTER ? OUTPUT_FIRST : Math.ceil(Math.exp(known.log));
  }

  learn(client: string, tokens: number): void {
    if (!(tokens > 0)) return;
    let known = this.#clients.get(client);
    if (known === undefined) {
      const name = this.#clients.size >= CLIENTS_MAX ? '' : client;
      known = this.#clients.get(name) ?? { log: Math.log(tokens), count: 0 };
      this.#clients.set(name, known);
    }
    known.count++;
    const step = Math.max(0.05, 2 / (known.count + 1));
    known.log += step * (Math.log(tokens) > known.log ? OUTPUT_SHARE : OUTPUT_SHARE - 1);
    known.log = Math.max(0, known.log);
  }

  reset(): void {
    this.#clients.clear();
  }

  save(): SavedOutput[] {
    return [...this.#clients]
      .filter(([, { count }]) => count >= OUTPUT_LEARNED_AFTER)
      .map(([client, { log }]) => ({ client, tokens: Math.ceil(Math.exp(log)) }));
  }

  restore(saved: readonly SavedOutput[]): void {
    for (const { client, tokens } of saved.slice(0, CLIENTS_MAX)) {
      if (tokens > 0) this.#clients.set(client, { log: Math.log(tokens), count: OUTPUT_LEARNED_AFTER });
    }
  }
}
