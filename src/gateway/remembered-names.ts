/**
 * Names from requests that the config does not contain, each counted for the holder that requested it first. At the limit, the holder
 * with the most names loses one: approximately the least recently used (second-chance replacement).
 */
import { HoldersByCount, type CountedHolder } from '../policy/scheduler/holders-by-count.ts';

interface Holder extends CountedHolder<Holder> {
  readonly holder: string;
  /** Oldest first; true: used since the last scan. */
  readonly names: Map<string, boolean>;
}

/** The most names in use that one eviction skips. */
const SKIPPED_MAX = 64;

export class RememberedNames {
  readonly #max: number;
  readonly #isBusy: (name: string) => boolean;
  readonly #owners = new Map<string, Holder>();
  readonly #holders = new Map<string, Holder>();
  readonly #byCount = new HoldersByCount<Holder>();

  /** `isBusy`: whether a name is in use, and should not be evicted now. */
  constructor(max: number, isBusy: (name: string) => boolean) {
    this.#max = max;
    this.#isBusy = isBusy;
  }

  get size(): number {
    return this.#owners.size;
  }

  has(name: string): boolean {
    return this.#owners.has(name);
  }

  /** Marks a name as used; false: it is not stored (any more). */
  use(name: string): boolean {
    const owner = this.#owners.get(name);
    owner?.names.set(name, true);
    return owner !== undefined;
  }

  /** Stores a new name; returns the name evicted for it, or null. */
  add(name: string, by: string): string | null {
    const forgotten = this.#owners.size >= this.#max ? this.#forgetOne() : null;
    let holder = this.#holders.get(by);
    if (holder === undefined) this.#holders.set(by, (holder = { holder: by, names: new Map(), bucket: null, before: null, after: null }));
    holder.names.set(name, false);
    this.#owners.set(name, holder);
    this.#byCount.add(holder);
    return forgotten;
  }

  remove(name: string): void {
    const holder = this.#owners.get(name);
    if (holder === undefined) return;
    this.#owners.delete(name);
    holder.names.delete(name);
    if (!this.#byCount.remove(holder)) this.#holders.delete(holder.holder);
  }

  #forgetOne(): string {
    const { names } = this.#byCount.largest!;
    let skipped = 0;
    for (const [name, wasUsed] of names) {
      if (skipped++ < SKIPPED_MAX && (wasUsed || this.#isBusy(name))) {
        names.delete(name); // moved to the end, as the newest
        names.set(name, false);
        continue;
      }
      this.remove(name);
      return name;
    }
    const [oldest] = names.keys();
    this.remove(oldest!);
    return oldest!;
  }
}
