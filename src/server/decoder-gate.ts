/**
 * Limits concurrent decoders to the number of threads for them. A decoder allocates its window, 16 MB for brotli, even for a small body:
 * 150 bodies of 100 bytes took 3.3 GB.
 */
const RUNNING_MAX = 4;

export class DecoderGate {
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= RUNNING_MAX) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running++;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
