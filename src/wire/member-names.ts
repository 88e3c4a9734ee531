/**
 * Names that another parser takes for a name that we act on. Go's encoding/json, .NET and many Java readers compare names without
 * case, Go by Unicode's simple folding (`ſ` is an s, the Kelvin sign a k), others by upper or lower case of a locale (`ı`, `İ`).
 */

/** What such readers make of a name; two names with the same result may be one name to some of them. */
export function foldName(name: string): string {
  return name.toUpperCase().toLowerCase().replaceAll('\u0307', '');
}

/** Lower case without a letter beyond ASCII: no fold changes it. */
const FOLDED = /^[a-z0-9_]*$/;

export function isFolded(name: string): boolean {
  return FOLDED.test(name);
}
