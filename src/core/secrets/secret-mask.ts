/**
 * Masks secrets in everything that is shown, logged or passed on. A masked secret becomes as many asterisks, so that no length changes;
 * without a match the same bytes are returned, uncopied.
 */
import { formsOf, unescapeAscii } from './secret-forms.ts';
import { ESCAPE, FORM_LENGTH_MIN, SecretScan, type Found } from './secret-scan.ts';

/** JSON inside JSON inside JSON. */
const ESCAPE_LEVELS_MAX = 3;
const STAR = 0x2a;

export interface Range {
  readonly start: number;
  readonly end: number;
}

export class SecretMask {
  /** Null: there are no secrets. */
  readonly scan: SecretScan | null;

  /** Values of fewer than eight characters are ignored: they would match ordinary text. */
  constructor(secrets: readonly string[]) {
    const forms = new Map<string, Buffer>();
    for (const secret of secrets) {
      if (secret.length < FORM_LENGTH_MIN) continue;
      for (const form of formsOf(secret)) forms.set(form.toString('latin1'), form);
    }
    this.scan = forms.size === 0 ? null : new SecretScan([...forms.values()]);
  }

  /** The bytes with secrets masked; the same object if there is none. */
  bytes(bytes: Uint8Array): Uint8Array {
    return this.scan === null ? bytes : maskRanges(bytes, rangesOf(this.scan, asBuffer(bytes), ESCAPE_LEVELS_MAX));
  }

  /** The text with secrets masked. */
  text(text: string): string {
    if (this.scan === null || text.length < FORM_LENGTH_MIN || this.scan.isFreeOf(text)) return text;
    const bytes = Buffer.from(text);
    const masked = this.bytes(bytes);
    return masked === bytes ? text : asBuffer(masked).toString();
  }

  /** False: it contains neither a secret nor a possible part of one. */
  touches(event: Uint8Array): boolean {
    return this.scan !== null && this.scan.touches(event);
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The ranges of whole secrets, escaped or not. */
function rangesOf(scan: SecretScan, bytes: Buffer, levels: number): readonly Range[] {
  const ranges = scan.wholes(bytes).map(rangeOf);
  const inner = levels > 0 && bytes.includes(ESCAPE) ? unescapeAscii(bytes) : null;
  if (inner === null) return ranges;
  const { starts } = inner;
  for (const { start, end } of rangesOf(scan, inner.bytes, levels - 1)) ranges.push({ start: starts[start]!, end: starts[end]! });
  return ranges;
}

export function rangeOf({ start, length }: Found): Range {
  return { start, end: start + length };
}

/** A copy with these ranges as asterisks; the same object if there is no range. */
export function maskRanges(bytes: Uint8Array, ranges: readonly Range[]): Uint8Array {
  if (ranges.length === 0) return bytes;
  const masked = Buffer.from(bytes);
  for (const { start, end } of ranges) masked.fill(STAR, start, end);
  return masked;
}
