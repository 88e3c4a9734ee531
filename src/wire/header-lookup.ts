/** Response headers by lower-case name; null where absent. A fetch `Headers` object is one. */
export interface HeaderLookup {
  get(name: string): string | null;
}
