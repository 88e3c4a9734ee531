/** Stores responses that later requests of the same client may refer to (Responses API), within the store's limits. */
import type { Clock } from '../core/clock.ts';
import { isRecord } from '../core/json.ts';
import type { Store } from '../store/store.ts';
import { deleteAtProvider, type ProviderParts } from './delete-response.ts';

const COLLECTION = 'responses';
/** The client of each response, whether it is stored or not. */
const OWNERS = 'response-owners';
/** Retention in milliseconds, as at OpenAI. */
const KEPT_MS = 30 * 86_400_000;
/** The most responses in one conversation, and the most JSON in total, in UTF-16 units. */
const LINKS_MAX = 1_000;
/** Longer ids share an owner record; no provider's ids are as long. */
const ID_LENGTH_MAX = 500;
const HISTORY_LENGTH_MAX = 8 * 1024 * 1024;

/** Longer entries are stored in two parts, in UTF-16 units: the store takes values of up to 256 Ki. */
const WHOLE_LENGTH_MAX = 200 * 1024;
/** The statuses of responses with output that can be referred to. */
const ENDED: ReadonlySet<unknown> = new Set(['completed', 'incomplete']);

export interface StoredTurn {
  /** The response that the request refers to; null: none. */
  readonly previous: string | null;
  /** The input items of the request, without those of earlier responses. */
  readonly input: readonly unknown[];
  /** As sent to the client. */
  readonly response: Readonly<Record<string, unknown>>;
  /** The `provider/model` that produced it. */
  readonly maker: string;
}

export class ResponseStore {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #providers: ProviderParts;

  constructor(store: Store, clock: Clock, providers: ProviderParts) {
    this.#store = store;
    this.#clock = clock;
    this.#providers = providers;
  }

  /** `length`: the approximate length of its JSON, in UTF-16 units. */
  put(client: string, id: string, kept: StoredTurn, length: number): void {
    const expires = { expiresAtMs: this.#clock.epochMs() + KEPT_MS };
    const isDivided = length > WHOLE_LENGTH_MAX;
    // A request and its response together may exceed the size of one value in the store.
    if (isDivided) this.#store.put(COLLECTION, inputKeyOf(client, id), kept.input, expires);
    this.#store.put(COLLECTION, keyOf(client, id), isDivided ? { ...kept, input: null } : kept, expires);
  }

  /** Null: not stored. */
  async get(client: string, id: string): Promise<StoredTurn | null> {
    const value = await this.#store.get(COLLECTION, keyOf(client, id));
    if (!isKept(value)) return null;
    if (value.input !== null) return value as StoredTurn;
    const input = await this.#store.get(COLLECTION, inputKeyOf(client, id));
    return Array.isArray(input) ? { ...value, input } : null;
  }

  /** Records whose response it is: no other client may refer to it, and none after it is deleted. `maker`: the `provider/model`; null: unknown. */
  own(client: string | null, id: string, maker: string | null): void {
    this.#store.put(OWNERS, id.slice(0, ID_LENGTH_MAX), { client, maker }, { expiresAtMs: this.#clock.epochMs() + KEPT_MS });
  }

  /** `unknown`: Breakwater did not return it, or not within its retention. */
  async ownerOf(id: string): Promise<'unknown' | { readonly client: string | null; readonly maker: string | null }> {
    const value = await this.#store.get(OWNERS, id.slice(0, ID_LENGTH_MAX));
    if (!isRecord(value) || !('client' in value)) return 'unknown';
    const { client, maker } = value;
    return { client: typeof client === 'string' ? client : null, maker: typeof maker === 'string' ? maker : null };
  }

  /** Throws `all_targets_failed` if the provider may still have it. */
  deleteAtProvider(id: string, maker: string): Promise<void> {
    return deleteAtProvider(this.#providers, this.#clock, maker, id);
  }

  delete(client: string, id: string): void {
    this.own(null, id, null);
    this.#store.delete(COLLECTION, keyOf(client, id));
    this.#store.delete(COLLECTION, inputKeyOf(client, id));
  }

  /**
   * The response and all its predecessors, oldest first. Null: one of them is not stored or has not ended, or a limit is exceeded.
   * `onLength` is called with the length of each one's JSON, in UTF-16 units, and may throw to refuse.
   */
  async conversation(client: string, id: string, onLength?: (length: number) => void): Promise<readonly StoredTurn[] | null> {
    const responses: StoredTurn[] = [];
    let total = 0;
    for (let next: string | null = id; next !== null;) {
      const kept: StoredTurn | null = await this.get(client, next);
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

/** An id may contain anything; a client name has no line breaks. */
function keyOf(client: string, id: string): string {
  return `${client}\n${id}`;
}

function inputKeyOf(client: string, id: string): string {
  return `${keyOf(client, id)}\ninput`;
}

/** Validates a stored entry, which another version may have written. `input` null: stored separately. */
function isKept(value: unknown): value is Omit<StoredTurn, 'input'> & { readonly input: readonly unknown[] | null } {
  if (typeof value !== 'object' || value === null) return false;
  const { previous, input, response, maker } = value as Partial<Record<keyof StoredTurn, unknown>>;
  const isLinked = previous === null || typeof previous === 'string';
  return (
    isLinked && (input === null || Array.isArray(input)) && typeof response === 'object' && response !== null && typeof maker === 'string'
  );
}
