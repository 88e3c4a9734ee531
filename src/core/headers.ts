/** The two forms of HTTP headers: pairs where they are written, by name where they are looked up. Both are as Node and undici have them. */

/** Names and values in turn: `['content-type', 'application/json', …]`. */
export type HeaderPairs = string[];

/** By lower-case name; several values of one name as a list. */
export type HeadersByName = Readonly<Record<string, string | string[] | undefined>>;
