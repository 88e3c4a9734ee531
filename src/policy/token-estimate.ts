/** What a request really takes in tokens, learned from what providers say that requests took. */

/** Prompts are told apart by their order of magnitude: long ones are cached, or are code, where short ones are not. */
const SIZES = 12;
/** So many answers before they are believed. */
const LEARNED_AFTER = 5;
/** Each answer's weight in the next one's eyes. */
const FADING = 0.98;
const FACTOR_MIN = 0.05;
const FACTOR_MAX = 20;
/** What is a little too much until it is settled does no harm; what is too little breaks a limit. */
const LITTLE_BELOW = 0.85;
const DEVIATION_WEIGHT = 0.05;

/** The ratio of counted tokens to estimated ones. */
class RatioBySize {
  readonly #estimated = new Float64Array(SIZES);
  readonly #counted = new Float64Array(SIZES);
  readonly #answers = new Uint32Array(SIZES);
  /** How far single answers lie from the ratio, as a moving average. */
  readonly #deviation = new Float64Array(SIZES);

  isKnown(estimated: number): boolean {
    return this.#answers[sizeOf(estimated)]! >= LEARNED_AFTER;
  }

  /** Of prompts of about that size, else of all that is known; 1 while nothing is. Leans upwards. */
  careful(estimated: number): number {
    const size = sizeOf(estimated);
    const isKnown = this.#answers[size]! >= LEARNED_AFTER;
    const mean = isKnown ? bounded(this.#counted[size]! / this.#estimated[size]!) : this.overall;
    if (mean === 1) return 1;
    const careful = mean + this.#deviation[size]!;
    return careful < 1 && careful > LITTLE_BELOW ? 1 : careful;
  }

  get overall(): number {
    let [estimated, counted, answers] = [0, 0, 0];
    for (let size = 0; size < SIZES; size++) {
      estimated += this.#estimated[size]!;
      counted += this.#counted[size]!;
      answers += this.#answers[size]!;
    }
    return answers < LEARNED_AFTER ? 1 : bounded(counted / estimated);
  }

  learn(estimated: number, counted: number): void {
    if (!(estimated > 0) || !(counted > 0)) return;
    const size = sizeOf(estimated);
    const ratio = bounded(counted / estimated); // one slip of a provider is not to outweigh all that came before
    this.#estimated[size] = this.#estimated[size]! * FADING + estimated;
    this.#counted[size] = this.#counted[size]! * FADING + estimated * ratio;
    if (this.#answers[size]!++ === 0) return;
    const deviation = Math.abs(ratio - this.#counted[size] / this.#estimated[size]);
    this.#deviation[size]! += DEVIATION_WEIGHT * (deviation - this.#deviation[size]!);
  }

  reset(): void {
    this.#estimated.fill(0);
    this.#counted.fill(0);
    this.#answers.fill(0);
    this.#deviation.fill(0);
  }

  save(): (number | null)[] {
    return Array.from({ length: SIZES }, (_, size) =>
      this.#answers[size]! < LEARNED_AFTER ? null : Math.round((this.#counted[size]! / this.#estimated[size]!) * 1000) / 1000,
    );
  }

  restore(saved: readonly (number | null)[]): void {
    for (let size = 0; size < SIZES; size++) {
      const factor = saved[size];
      if (typeof factor !== 'number' || !(factor > 0)) continue;
      const usual = 4 ** size;
      this.#estimated[size] = usual * LEARNED_AFTER;
      this.#counted[size] = usual * LEARNED_AFTER * bounded(factor);
      this.#answers[size] = LEARNED_AFTER;
    }
  }
}

export interface SavedInput {
  /** By size; null where it is not known. */
  readonly all: readonly (number | null)[];
  /** The same without what was cached. */
  readonly uncached: readonly (number | null)[];
}

/** What a prompt counts of which a quarter of the bytes is known: with what is cached of it, and without. */
export class InputEstimate {
  readonly #all = new RatioBySize();
  readonly #uncached = new RatioBySize();

  /** What is to be reserved for so many estimated tokens. */
  of(estimated: number, countsCached: boolean): number {
    // That long prompts are cached says nothing of short ones.
    const ratio = countsCached || !this.#uncached.isKnown(estimated) ? this.#all : this.#uncached;
    const factor = ratio.careful(estimated);
    return factor === 1 ? estimated : Math.ceil(estimated * factor);
  }

  /** Counted tokens for each estimated one; 1 while nothing is known. */
  get factor(): number {
    return this.#all.overall;
  }

  /** The part of all input that was cached, from 0 to 1. */
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

/** What an answer is taken for where nothing is known yet, in tokens. */
export const OUTPUT_FIRST = 1024;
const OUTPUT_SHARE = 0.9;
const OUTPUT_LEARNED_AFTER = 20;
/** Clients kept apart; those beyond share what is known of all. */
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
 * The 90th percentile of the length of answers, for each client of one model. Kept as one number that goes up a little with a longer
 * answer and down a ninth of that with a shorter one, so that nine in ten are shorter (Robbins and Monro, 1951).
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
