/** Stored responses, for `previous_response_id`, retrieval and item references. Visible only to the key that created them. */

/** An input or output item. */
export type Item = Readonly<Record<string, unknown>>;

export interface StoredResponse {
  readonly id: string;
  readonly key: string;
  readonly response: Readonly<Record<string, unknown>>;
  /** The input items of its own request. */
  readonly input: readonly Item[];
  /** Everything before its output: earlier turns and its own input. */
  readonly conversation: readonly Item[];
  /** Size of its request, counted against the capacity of the store. */
  readonly bytes: number;
}

export interface ResponseStore {
  put(stored: StoredResponse): void;
  get(key: string, id: string): StoredResponse | undefined;
  delete(key: string, id: string): boolean;
  clear(): void;
  /** An output item of a stored response. */
  item(key: string, id: string): Item | undefined;
}

/** Capacity in responses and in request bytes; beyond either, the oldest are evicted. */
const RESPONSES_MAX = 1000;
const BYTES_MAX = 64 * 1024 * 1024;

/** Creates an empty store. */
export function createResponseStore(): ResponseStore {
  const responses = new Map<string, StoredResponse>();
  const items = new Map<string, { readonly key: string; readonly item: Item }>();

  let bytes = 0;

  function forget(stored: StoredResponse): void {
    if (responses.delete(stored.id)) bytes -= stored.bytes;
    for (const { id } of outputOf(stored)) items.delete(String(id));
  }

  function get(key: string, id: string): StoredResponse | undefined {
    const stored = responses.get(id);
    return stored?.key === key ? stored : undefined;
  }

  return {
    put(stored) {
      const same = responses.get(stored.id);
      if (same !== undefined) forget(same);
      responses.set(stored.id, stored);
      bytes += stored.bytes;
      for (const item of outputOf(stored)) items.set(String(item['id']), { key: stored.key, item });
      for (const oldest of responses.values()) {
        if (responses.size <= RESPONSES_MAX && bytes <= BYTES_MAX) break;
        forget(oldest);
      }
    },
    get,
    delete(key, id) {
      const stored = get(key, id);
      if (stored !== undefined) forget(stored);
      return stored !== undefined;
    },
    clear() {
      responses.clear();
      items.clear();
      bytes = 0;
    },
    item(key, id) {
      const found = items.get(id);
      return found?.key === key ? found.item : undefined;
    },
  };
}

/** The output items of a stored response. */
export function outputOf({ response }: StoredResponse): readonly Item[] {
  return Array.isArray(response['output']) ? (response['output'] as Item[]) : [];
}
