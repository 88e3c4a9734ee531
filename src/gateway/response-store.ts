/** Responses that a later request may refer to (Responses API): kept for their client, for a while, within the store's limits. */
import type { Clock } from '../core/clock.ts';
import type { Store } from '../store/store.ts';

const COLLECTION = 'responses';
/** As long as OpenAI keeps them, in milliseconds. */
const KEPT_MS = 30 * 86_400_000;
/** Responses of one conversation that are followed, and their JSON together, in UTF-16 units. */
const LINKS_MAX = 1_000;
const HISTORY_LENGTH_MAX = 8 * 1024 * 1024;

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

export interface Conversation {
  /** Oldest first, the last one being that which was asked for. */
  readonly responses: readonly KeptResponse[];
}

export class ResponseStore {
  readonly #store: Store;
  readonly #clock: Clock;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  put(client: string, id: string, kept: KeptResponse): void {
    this.#store.put(COLLECTION, keyOf(client, id), kept, { expiresAtMs: this.#clock.epochMs() + KEPT_MS });
  }

  /** Null: there is none, or it was not kept. */
  async get(client: string, id: string): Promise<KeptResponse | null> {
    const value = await this.#store.get(COLLECTION, keyOf(client, id));
    return isKept(value) ? value : null;
  }

  delete(client: string, id: string): void {
    this.#store.delete(COLLECTION, keyOf(client, id));
  }

  /** The response and all that it follows. Null: one of them is not kept, or they are too much. */
  async conversation(client: string, id: string): Promise<Conversation | null> {
    const responses: KeptResponse[] = [];
    let length = 0;
    for (let next: string | null = id; next !== null;) {
      const kept: KeptResponse | null = await this.get(client, next);
      if (kept === null || responses.length >= LINKS_MAX) return null;
      length += JSON.stringify([kept.input, kept.response['output']]).length;
      if (length > HISTORY_LENGTH_MAX) return null;
      responses.unshift(kept);
      next = kept.previous;
    }
    return { responses };
  }
}

/** An id may hold anything; a client's name holds no line end. */
function keyOf(client: string, id: string): string {
  return `${client}\n${id}`;
}

/** Another version may have written it. */
function isKept(value: unknown): value is KeptResponse {
  if (typeof value !== 'object' || value === null) return false;
  const { previous, input, response, maker } = value as Partial<Record<keyof KeptResponse, unknown>>;
  const isLinked = previous === null || typeof previous === 'string';
  return isLinked && Array.isArray(input) && typeof response === 'object' && response !== null && typeof maker === 'string';
}
