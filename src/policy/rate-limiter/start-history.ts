import type { Instant } from '../../core/clock.ts';

/** The number of stored starts. A report about an older call is outdated. */
const STARTS_MAX = 128;

/** The amounts taken since an instant, as two numbers (input and output, or requests and 0). */
export interface TakenSince {
  /** As reserved. */
  input: number;
  output: number;
  /** The same, less what was given back meanwhile; negative where that was more. */
  netInput: number;
  netOutput: number;
}

/**
 * Recent starts, used to bring a reported remaining amount up to date, which is as old as its call. Small and free of allocations, because
 * every start is recorded.
 */
export class StartHistory {
  /** Allocated with the first start, because most known targets are never called. */
  #at: Float64Array | null = null;
  #sums: Float64Array[] = [];
  #next = 0;
  #length = 0;
  #input = 0;
  #output = 0;
  #netInput = 0;
  #netOutput = 0;
  readonly #since: TakenSince = { input: 0, output: 0, netInput: 0, netOutput: 0 };

  take(now: Instant, input: number, output: number): void {
    this.#at ??= this.#open();
    this.#at[this.#next] = now;
    // The sums before this start: a query since an instant includes everything that started at that instant.
    this.#sums[0]![this.#next] = this.#input;
    this.#sums[1]![this.#next] = this.#output;
    this.#sums[2]![this.#next] = this.#netInput;
    this.#sums[3]![this.#next] = this.#netOutput;
    this.#next = (this.#next + 1) % STARTS_MAX;
    this.#length = Math.min(STARTS_MAX, this.#length + 1);
    this.#input += input;
    this.#output += output;
    this.#netInput += input;
    this.#netOutput += output;
  }

  giveBack(input: number, output: number): void {
    this.#netInput -= input;
    this.#netOutput -= output;
  }

  /** Amounts taken at `since` or later; null: that is before the history. Returns the same object every time. */
  since(since: Instant): TakenSince | null {
    const at = this.#at;
    if (at === null) return this.#fill(this.#input, this.#output, this.#netInput, this.#netOutput);
    let [low, high] = [0, this.#length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (at[this.#indexOf(middle)]! < since) low = middle + 1;
      else high = middle;
    }
    if (low === 0 && this.#length === STARTS_MAX) return null;
    if (low === this.#length) return this.#fill(this.#input, this.#output, this.#netInput, this.#netOutput);
    return this.#fillFrom(this.#indexOf(low));
  }

  /** The same; where that is before the history, the amounts of the history. */
  atLeastSince(since: Instant): TakenSince {
    return this.since(since) ?? this.#fillFrom(this.#indexOf(0));
  }

  /** All starts since an instant, oldest first; null: that is before the history. */
  list(since: Instant): { at: Instant; input: number; output: number }[] | null {
    const at = this.#at;
    if (at === null) return [];
    const first = this.#indexOf(0);
    if (this.#length === STARTS_MAX && at[first]! >= since) return null;
    const list: { at: Instant; input: number; output: number }[] = [];
    const [inputs, outputs] = [this.#sums[0]!, this.#sums[1]!];
    for (let nth = 0; nth < this.#length; nth++) {
      const i = this.#indexOf(nth);
      if (at[i]! < since) continue;
      const [endInput, endOutput] =
        nth + 1 < this.#length ? [inputs[this.#indexOf(nth + 1)]!, outputs[this.#indexOf(nth + 1)]!] : [this.#input, this.#output];
      list.push({ at: at[i]!, input: endInput - inputs[i]!, output: endOutput - outputs[i]! });
    }
    return list;
  }

  #fillFrom(i: number): TakenSince {
    const [input, output, netInput, netOutput] = this.#sums;
    return this.#fill(input![i]!, output![i]!, netInput![i]!, netOutput![i]!);
  }

  #fill(input: number, output: number, netInput: number, netOutput: number): TakenSince {
    this.#since.input = this.#input - input;
    this.#since.output = this.#output - output;
    this.#since.netInput = this.#netInput - netInput;
    this.#since.netOutput = this.#netOutput - netOutput;
    return this.#since;
  }

  /** The index of the nth start, the oldest first. */
  #indexOf(nth: number): number {
    return (this.#next - this.#length + nth + STARTS_MAX) % STARTS_MAX;
  }

  #open(): Float64Array {
    this.#sums = [0, 1, 2, 3].map(() => new Float64Array(STARTS_MAX));
    return new Float64Array(STARTS_MAX);
  }
}
