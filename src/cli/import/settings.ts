/** The settings of one object of the source. */
import { recordOf } from './draft.ts';

/** Records which settings are read: the others are not carried over, and a note names them. */
export class Settings {
  readonly #values: ReadonlyMap<string, unknown>;
  readonly #read = new Set<string>();

  /** Of a value that is not an object: none. */
  constructor(value: unknown) {
    this.#values = new Map(Object.entries(recordOf(value)));
  }

  get(name: string): unknown {
    this.#read.add(name);
    return this.#values.get(name);
  }

  /** Reads the settings of these names that have a value. */
  pick(names: Iterable<string>): Record<string, unknown> {
    return Object.fromEntries([...names].map((name) => [name, this.get(name)] as const).filter(([, value]) => value != null));
  }

  /** Marks settings as read that need no counterpart. */
  ignore(names: Iterable<string>): void {
    for (const name of names) this.#read.add(name);
  }

  /** The settings that were not read, except those without a value. */
  unread(): readonly (readonly [name: string, value: unknown])[] {
    return [...this.#values].filter(([name, value]) => !this.#read.has(name) && value != null && value !== '');
  }
}
