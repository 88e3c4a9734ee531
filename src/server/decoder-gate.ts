/**
 * A decoder keeps a window of what it has decoded, 16 MB for brotli, however small the body is: 150 bodies of 100 bytes took 3.3 GB. So only
 * as many decode at once as there are threads for it; the others wait.
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
