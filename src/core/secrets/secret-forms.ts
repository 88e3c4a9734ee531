/** The forms in which a secret may occur: verbatim, inside JSON, inside a URL. */

/** Only this many bytes of a longer value are searched for. */
const FORM_BYTES_MAX = 1024;

/** The distinct byte sequences of the secret. */
export function formsOf(secret: string): readonly Buffer[] {
  const json = inJson(secret);
  const slashed = json.replaceAll('/', '\\/');
  // Providers quote the JSON error of another server in a string.
  const texts = new Set([secret, json, slashed, inJson(json), inJson(slashed), inUrl(secret)]);
  return [...texts].map((text) => Buffer.from(text).subarray(0, FORM_BYTES_MAX));
}

function inJson(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

function inUrl(secret: string): string {
  try {
    return encodeURIComponent(secret);
  } catch {
    return secret; // half of a surrogate pair
  }
}

const BACKSLASH = 0x5c;
const escapes: Readonly<Record<number, number>> = { 0x22: 0x22, 0x5c: 0x5c, 0x2f: 0x2f };

/** Bytes with JSON escapes resolved, and the position of each in the original; `starts` has an extra entry for the end. */
export interface Unescaped {
  readonly bytes: Buffer;
  readonly starts: Uint32Array;
}

/** Resolves escapes of ASCII characters only. Null: there are none. */
export function unescapeAscii(given: Uint8Array): Unescaped | null {
  const bytes = Buffer.allocUnsafe(given.length);
  const starts = new Uint32Array(given.length + 1);
  let length = 0;
  let found = false;
  for (let pos = 0; pos < given.length; length++) {
    starts[length] = pos;
    const [byte, size] = given[pos] === BACKSLASH ? readEscape(given, pos) : [given[pos]!, 1];
    if (size > 1) found = true;
    bytes[length] = byte;
    pos += size;
  }
  if (!found) return null;
  starts[length] = given.length;
  return { bytes: bytes.subarray(0, length), starts };
}

/** The byte of an escape and the length of the escape; for other escapes the backslash itself. */
function readEscape(bytes: Uint8Array, pos: number): readonly [byte: number, size: number] {
  const next = bytes[pos + 1] ?? 0;
  const plain = escapes[next];
  if (plain !== undefined) return [plain, 2];
  if (next === 0x75 && bytes[pos + 2] === 0x30 && bytes[pos + 3] === 0x30) {
    const code = Number.parseInt(String.fromCharCode(bytes[pos + 4] ?? 0, bytes[pos + 5] ?? 0), 16);
    if (code >= 0x20 && code < 0x7f) return [code, 6];
  }
  return [BACKSLASH, 1];
}
