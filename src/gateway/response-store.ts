/** Responses that a later request may refer to (Responses API): kept for their client, for a while, within the store's limits. */
import type { Clock } from '../core/clock.ts';
import type { Store } from '../store/store.ts';

const COLLECTION = 'responses';
/** As long as OpenAI keeps them, in milliseconds. */
const KEPT_MS = 30 * 86_400_000;
/** Responses of one conversation that are followed, and their JSON together, in UTF-16 units. */
const LINKS_MAX = 1_000;
const HISTORY_LENGTH_MAX = 8 * 1024 * 1024;

/** What is longer is stored in two parts, in UTF-16 units: the store takes values of 256 Ki. */
const WHOLE_LENGTH_MAX = 200 * 1024;
/** Others have no output yet, or none that can be referred to. */
const ENDED: ReadonlySet<unknown> = new Set(['completed', 'incomplete']);

export interface KeptResponse {
  /** The response that its request refers to; null: none. */
  readonly previous: string | null;
  /** The items of its request, without those of earlier ones. */
  readonly input: readonly unknown[];
  /** As the client got it. */
  readonly response: Readonly<Record<string, unknown>>;
  /** `provider/model` that made it. */
  readonly maker: string;
}

export class ResponseStore {
  readonly #store: Store;
  readonly #clock: Clock;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** `length`: of its JSON, about, in UTF-16 units. */
  put(client: string, id: string, kept: KeptResponse, length: number): void {
    const expires = { expiresAtMs: this.#clock.epochMs() + KEPT_MS };
    const isDivided = length > WHOLE_LENGTH_MAX;
    // One value of the store may not be as large as a request and its response together.
    if (isDivided) this.#store.put(COLLECTION, inputKeyOf(client, id), kept.input, expires);
    this.#store.put(COLLECTION, keyOf(client, id), isDivided ? { ...kept, input: null } : kept, expires);
  }

  /** Null: there is none, or it was not kept. */
  async get(client: string, id: string): Promise<KeptResponse | null> {
    const value = await this.#store.get(COLLECTION, keyOf(client, id));
    if (!isKept(value)) return null;
    if (value.input !== null) return value as KeptResponse;
    const input = await this.#store.get(COLLECTION, inputKeyOf(client, id));
    return Array.isArray(input) ? { ...value, input } : null;
  }

  delete(client: string, id: string): void {
    this.#store.delete(COLLECTION, keyOf(client, id));
    this.#store.delete(COLLECTION, inputKeyOf(client, id));
  }

  /**
   * The response and all that it follows, oldest first. Null: one of them is not kept or has not ended, or they are too much.
   * `onLength` is called for each with the length of its JSON, in UTF-16 units, and may throw to refuse.
   */
  async conversation(client: string, id: string, onLength?: (length: number) => void): Promise<readonly KeptResponse[] | null> {
    const responses: KeptResponse[] = [];
    let total = 0;
    for (let next: string | null = id; next !== null;) {
      const kept: KeptResponse | null = await this.get(client, next);
      if (kept === null || !ENDED.has(kept.response['status']) || responses.length >= LINKS_MAX) return null;
      const { length } = JSON.stringify([kept.input, kept.response['output']]);
      total += length;
      if (total > HISTORY_LENGTH_MAX) return null;
      onLength?.(length);
      responses.push(kept);
      next = kept.previous;
    }
    return responses.toReversed();
  }
}

/** An id may hold anything; a client's name holds no line end. */
function keyOf(client: string, id: string): string {
  return `${client}\n${id}`;
}

function inputKeyOf(client: string, id: string): string {
  return `${keyOf(client, id)}\ninput`;
}

/** Another version may have written it. Its input may stand apart (null). */
function isKept(value: unknown): value is Omit<KeptResponse, 'input'> & { readonly input: readonly unknown[] | null } {
  if (typeof value !== 'object' || value === null) return false;
  const { previous, input, response, maker } = value as Partial<Record<keyof KeptResponse, unknown>>;
  const isLinked = previous === null || typeof previous === 'string';
  return (
    isLinked && (input === null || Array.isArray(input)) && typeof response === 'object' && response !== null && typeof maker === 'string'
  );
}
