/**
 * Names that callers made up, or asked for without the config naming them, each charged to the one that asked first. At the bound the
 * one that has most of them gives one up: that which was not used for the longest time, roughly (second chance).
 */
import { HoldersByCount, type CountedHolder } from '../policy/scheduler/holders-by-count.ts';

interface Holder extends CountedHolder<Holder> {
  readonly holder: string;
  /** The oldest first; true: it was used since it was last passed over. */
  readonly names: Map<string, boolean>;
}

/** So many that are in use are passed over in one look for a name to forget. */
const LOOKS_MAX = 64;

export class RememberedNames {
  readonly #max: number;
  readonly #isBusy: (name: string) => boolean;
  readonly #owners = new Map<string, Holder>();
  readonly #holders = new Map<string, Holder>();
  readonly #byCount = new HoldersByCount<Holder>();

  /** `isBusy`: a name that is better kept for now. */
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

  /** False: the name is not remembered (any more). */
  use(name: string): boolean {
    const owner = this.#owners.get(name);
    owner?.names.set(name, true);
    return owner !== undefined;
  }

  /** Remembers a new name; gives the one that is forgotten for it, null: none. */
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
    let looks = 0;
    for (const [name, wasUsed] of names) {
      if (looks++ < LOOKS_MAX && (wasUsed || this.#isBusy(name))) {
        names.delete(name); // and in again, as the newest
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
