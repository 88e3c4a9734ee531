/**
 * Names that another parser may take for a name that Breakwater acts on. Go's encoding/json, .NET and many Java parsers ignore case in
 * names, Go by Unicode's simple folding (`ſ` is an s, the Kelvin sign a k), others by upper or lower case of a locale (`ı`, `İ`).
 */

/** The name as such parsers compare it; two names with the same result may be equal to some of them. */
export function foldName(name: string): string {
  return name.toUpperCase().toLowerCase().replaceAll('\u0307', '');
}

/** Lower case and ASCII only: folding does not change it. */
const FOLDED = /^[a-z0-9_]*$/;

export function isFolded(name: string): boolean {
  return FOLDED.test(name);
}
