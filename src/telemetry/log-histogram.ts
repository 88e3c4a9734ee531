/** A histogram of durations from 1 ms to about half an hour in bins that grow by 20 %: quantiles within 10 %, in constant memory. */
const growth = 1.2;
const binCount = 80;
const logGrowth = Math.log(growth);

export class LogHistogram {
  readonly #bins = new Uint32Array(binCount);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(ms: number): void {
    const bin = ms <= 1 ? 0 : Math.min(binCount - 1, Math.ceil(Math.log(ms) / logGrowth));
    this.#bins[bin]!++;
    this.#count++;
  }

  /** Adds the counts of another histogram. */
  merge(other: LogHistogram): void {
    for (let bin = 0; bin < binCount; bin++) this.#bins[bin]! += other.#bins[bin]!;
    this.#count += other.#count;
  }

  /** The middle of the bin with the quantile `share` (0 to 1), in milliseconds; null if nothing was counted. */
  quantile(share: number): number | null {
    if (this.#count === 0) return null;
    let left = share * this.#count;
    for (let bin = 0; bin < binCount; bin++) {
      left -= this.#bins[bin]!;
      if (left <= 0 && this.#bins[bin]! > 0) return middleOf(bin);
    }
    return middleOf(binCount - 1);
  }

  clear(): void {
    this.#bins.fill(0);
    this.#count = 0;
  }
}

function middleOf(bin: number): number {
  return bin === 0 ? 1 : Math.round(growth ** (bin - 0.5) * 10) / 10;
}
