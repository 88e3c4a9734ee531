/** Maximum number of keys with a cached last text. */
const rememberedMax = 100;

/** Caches the result of `make` for the last item of each key, until a different one follows. */
export function createMemory<T, R = string>(
  keyOf: (item: T) => string | null,
  isSame: (a: T, b: T) => boolean,
  make: (item: T) => R,
): (item: T) => R {
  const memory = new Map<string | null, { item: T; text: R }>();
  return (item) => {
    const key = keyOf(item);
    const held = memory.get(key);
    if (held !== undefined && isSame(held.item, item)) return held.text;
    if (memory.size >= rememberedMax) memory.clear();
    const text = make(item);
    memory.set(key, { item, text });
    return text;
  };
}

/** A flat string, unlike the result of a concatenation. */
export function joined(...pieces: string[]): string {
  return pieces.join('');
}
