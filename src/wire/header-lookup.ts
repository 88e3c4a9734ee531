/** Response headers by lower-case name; null if absent. A fetch `Headers` object implements it. */
export interface HeaderLookup {
  get(name: string): string | null;
}
