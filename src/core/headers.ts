/** The two forms of HTTP headers: pairs where they are written, by name where they are looked up. Both are as Node and undici have them. */

/** Names and values in turn: `['content-type', 'application/json', …]`. */
export type HeaderPairs = string[];

/** By lower-case name; several values of one name as a list. */
export type HeadersByName = Readonly<Record<string, string | string[] | undefined>>;

/** The value of a header; null: it has none. `name` is in lower case, as are the names of `pairs`. */
export function valueIn(pairs: readonly string[], name: string): string | null {
  for (let i = 0; i + 1 < pairs.length; i += 2) if (pairs[i] === name) return pairs[i + 1]!;
  return null;
}

/** The first value of a header. */
export function firstValue(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}
