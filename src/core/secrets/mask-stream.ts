/**
 * Masks secrets in a stream. A secret may be split over two parts, so a possible beginning of one is held back until the next part
 * arrives. All other bytes pass at once and uncopied.
 */
import { maskRanges, rangeOf, type Range, type SecretMask } from './secret-mask.ts';
import { commonLength, isWhole, type Found, type SecretScan } from './secret-scan.ts';

export interface StreamMask {
  /** The bytes to pass on after this part; often the part itself. */
  push(part: Uint8Array): readonly Uint8Array[];
  /** The bytes that were held back, at the end of the stream. */
  flush(): readonly Uint8Array[];
}

const NOTHING: readonly Uint8Array[] = [];

/** For parts that may be split anywhere. */
export class ByteStreamMask implements StreamMask {
  readonly #mask: SecretMask;
  #tail: Uint8Array = new Uint8Array(0);

  constructor(mask: SecretMask) {
    this.#mask = mask;
  }

  push(part: Uint8Array): readonly Uint8Array[] {
    const joined = this.#tail.length === 0 ? part : Buffer.concat([this.#tail, part]);
    const masked = this.#mask.bytes(joined);
    const open = this.#mask.scan?.openTail(masked) ?? 0;
    this.#tail = masked.subarray(masked.length - open);
    return open === masked.length ? NOTHING : [open === 0 ? masked : masked.subarray(0, masked.length - open)];
  }

  flush(): readonly Uint8Array[] {
    const tail = this.#tail;
    this.#tail = new Uint8Array(0);
    return tail.length === 0 ? NOTHING : [tail];
  }
}

/** Maximum number of bytes held back. */
const HELD_MAX = 64 * 1024;
/** Number of events of other choices, or without text, between the parts of a secret. */
const MISSES_MAX = 3;
/** A part of at least this length is masked even if the rest does not follow. */
const PARTIAL_LENGTH_MIN = 8;
const QUOTE = 0x22;

interface SecretPart extends Range {
  /** Index into the events held back. */
  readonly event: number;
}

/** Secrets of one form that were matched up to the same byte, each at the end of a JSON string in an event that is held back. */
interface OpenSecret {
  readonly form: Buffer;
  matched: number;
  readonly parts: SecretPart[];
  misses: number;
  /** A further part was found in the current event. */
  isExtended: boolean;
}

/**
 * For parts that are whole events: a secret may begin at the end of one event's text and continue at the start of the next one's.
 *
 * Ordinary text may match the start of a secret in every event (a key that begins with the model's name), and one part may contain
 * hundreds of events. So starts of the same form and length share an entry, and a part is read once for all of them.
 */
export class EventStreamMask implements StreamMask {
  readonly #mask: SecretMask;
  readonly #scan: SecretScan;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #open: OpenSecret[] = [];

  constructor(mask: SecretMask, scan: SecretScan) {
    this.#mask = mask;
    this.#scan = scan;
  }

  push(part: Uint8Array): readonly Uint8Array[] {
    const whole = this.#mask.bytes(part);
    const parts = this.#scan.parts(whole);
    const masked = maskRanges(whole, parts.filter(isWhole).map(rangeOf));
    const event = this.#held.length;
    this.#held.push(masked);
    this.#heldBytes += masked.length;
    const before = new Set(this.#open);
    this.#read(masked, event, parts);
    this.#open = this.#open.filter((secret) => !before.has(secret) || secret.isExtended || ++secret.misses <= MISSES_MAX);
    for (const secret of this.#open) secret.isExtended = false;
    if (this.#open.length === 0) return this.#release();
    return this.#heldBytes > HELD_MAX ? this.flush() : NOTHING;
  }

  flush(): readonly Uint8Array[] {
    for (const secret of this.#open) if (secret.matched >= PARTIAL_LENGTH_MIN) this.#maskParts(secret);
    this.#open = [];
    return this.#release();
  }

  #release(): readonly Uint8Array[] {
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    return held;
  }

  /** Reads the strings of one part in order: each may continue open secrets, and a start at its end opens one. */
  #read(bytes: Uint8Array, event: number, parts: readonly Found[]): void {
    const starts = parts.filter((found) => !isWhole(found)).toSorted((a, b) => endOf(a) - endOf(b));
    let next = 0;
    if (this.#open.length === 0 && starts.length === 0) return;
    for (let quote = bytes.indexOf(QUOTE); quote >= 0; quote = bytes.indexOf(QUOTE, quote + 1)) {
      for (; next < starts.length && endOf(starts[next]!) < quote; next++) this.#openFrom(starts[next]!, event);
      if (this.#open.length > 0) this.#continueAt(bytes, quote + 1, event);
    }
    for (; next < starts.length; next++) this.#openFrom(starts[next]!, event);
  }

  #openFrom(found: Found, event: number): void {
    const { form, skipped, length } = found;
    const part = { ...rangeOf(found), event };
    const same = this.#open.find((secret) => secret.form === form && secret.matched === skipped + length);
    if (same === undefined) this.#open.push({ form, matched: skipped + length, parts: [part], misses: 0, isExtended: true });
    else {
      same.parts.push(part);
      same.isExtended = true;
      same.misses = 0;
    }
  }

  /** Matches the continuation of open secrets at the beginning of a JSON string. */
  #continueAt(bytes: Uint8Array, start: number, event: number): void {
    let isAnyWhole = false;
    for (const secret of this.#open) {
      const length = commonLength(bytes, start, secret.form, secret.matched);
      if (length === 0) continue;
      const isRest = secret.matched + length === secret.form.length;
      if (!isRest && bytes[start + length] !== QUOTE) continue;
      secret.matched += length;
      secret.parts.push({ event, start, end: start + length });
      secret.misses = 0;
      secret.isExtended = true;
      if (!isRest) continue;
      this.#maskParts(secret);
      isAnyWhole = true;
    }
    if (isAnyWhole) this.#open = this.#open.filter(({ matched, form }) => matched < form.length);
  }

  #maskParts({ parts }: OpenSecret): void {
    for (const [event, ranges] of Map.groupBy(parts, (part) => part.event)) this.#held[event] = maskRanges(this.#held[event]!, ranges);
  }
}

/** The position of the quote that ends its string. */
function endOf({ start, length }: Found): number {
  return start + length;
}
