import type { Instant } from '../../core/clock.ts';

/** So many starts are remembered. What a provider says about an older one is out of date. */
const STARTS_MAX = 128;

/** What was taken since some instant, in two amounts (input and output, or requests and nothing). */
export interface TakenSince {
  /** As it was reserved. */
  input: number;
  output: number;
  /** The same, less what came back meanwhile; below zero where more came back than was taken. */
  netInput: number;
  netOutput: number;
}

/**
 * What was taken lately, so that a provider's word on what remains, which is as old as the call that it comes with, can be
 * brought up to date. Made small and filled without allocations: every start passes here.
 */
export class StartHistory {
  /** Made with the first start: most targets that are known are never asked. */
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
    // The sums before this start: whoever asks for what came since an instant counts all that started then.
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

  /** Taken at `since` or later; null where that is longer ago than can be told. The same object every time. */
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
    const i = this.#indexOf(low);
    const [input, output, netInput, netOutput] = this.#sums;
    return this.#fill(input![i]!, output![i]!, netInput![i]!, netOutput![i]!);
  }

  /** All that were taken since an instant, oldest first; null where not all are known any more. */
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

  #fill(input: number, output: number, netInput: number, netOutput: number): TakenSince {
    this.#since.input = this.#input - input;
    this.#since.output = this.#output - output;
    this.#since.netInput = this.#netInput - netInput;
    this.#since.netOutput = this.#netOutput - netOutput;
    return this.#since;
  }

  /** Where the nth start stands, the oldest first. */
  #indexOf(nth: number): number {
    return (this.#next - this.#length + nth + STARTS_MAX) % STARTS_MAX;
  }

  #open(): Float64Array {
    this.#sums = [0, 1, 2, 3].map(() => new Float64Array(STARTS_MAX));
    return new Float64Array(STARTS_MAX);
  }
}
