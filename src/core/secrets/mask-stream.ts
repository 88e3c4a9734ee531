/**
 * Masks secrets in what arrives in parts. A secret may be split over two parts, so what may be the beginning of one is held
 * back until the next part shows what it is. Everything else passes at once, as the very same bytes.
 */
import { maskRanges, rangeOf, type Range, type SecretMask } from './secret-mask.ts';
import { commonLength, isWhole, type Found, type SecretScan } from './secret-scan.ts';

export interface StreamMask {
  /** What may be passed on after this part; often the part itself. */
  push(part: Uint8Array): readonly Uint8Array[];
  /** The stream has ended: what was held back. */
  flush(): readonly Uint8Array[];
}

const NOTHING: readonly Uint8Array[] = [];

/** For parts that are cut anywhere: what may be the beginning of a secret waits for the next part. */
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

/** Bytes that are held back at most. */
const HELD_MAX = 64 * 1024;
/** Events of other choices, or without text, may lie between the parts of a secret. */
const MISSES_MAX = 3;
/** A part of this length is masked although the rest has not come. */
const TELLING_LENGTH = 8;
const QUOTE = 0x22;

interface Spot extends Range {
  /** Index into the events held back. */
  readonly event: number;
}

/** Secrets of one form that have been seen up to the same byte, each at the end of a JSON string in an event that is held back. */
interface OpenSecret {
  readonly form: Buffer;
  matched: number;
  readonly spots: Spot[];
  misses: number;
  /** The rest, or a part of it, was found in the current part. */
  isExtended: boolean;
}

/**
 * For parts that are whole events: a secret may begin at the end of one event's text and continue at the start of the next one's.
 *
 * Ordinary text may look like the start of a secret in every event (a key that begins with the model's name), and one part may hold
 * hundreds of events. Starts of the same form and length are therefore one entry, and a part is read once, whatever the number of starts.
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
    for (const secret of this.#open) if (secret.matched >= TELLING_LENGTH) this.#maskSpots(secret);
    this.#open = [];
    return this.#release();
  }

  #release(): readonly Uint8Array[] {
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    return held;
  }

  /** Follows the strings of one part in order: each may continue what is open, and what starts at its end is open from there on. */
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
    const spot = { ...rangeOf(found), event };
    const same = this.#open.find((secret) => secret.form === form && secret.matched === skipped + length);
    if (same === undefined) this.#open.push({ form, matched: skipped + length, spots: [spot], misses: 0, isExtended: true });
    else {
      same.spots.push(spot);
      same.isExtended = true;
      same.misses = 0;
    }
  }

  /** Looks for the rest of what is open at the beginning of a JSON string. */
  #continueAt(bytes: Uint8Array, start: number, event: number): void {
    let isAnyWhole = false;
    for (const secret of this.#open) {
      const length = commonLength(bytes, start, secret.form, secret.matched);
      if (length === 0) continue;
      const isRest = secret.matched + length === secret.form.length;
      if (!isRest && bytes[start + length] !== QUOTE) continue;
      secret.matched += length;
      secret.spots.push({ event, start, end: start + length });
      secret.misses = 0;
      secret.isExtended = true;
      if (!isRest) continue;
      this.#maskSpots(secret);
      isAnyWhole = true;
    }
    if (isAnyWhole) this.#open = this.#open.filter(({ matched, form }) => matched < form.length);
  }

  #maskSpots({ spots }: OpenSecret): void {
    for (const [event, ranges] of Map.groupBy(spots, (spot) => spot.event)) this.#held[event] = maskRanges(this.#held[event]!, ranges);
  }
}

/** The position of the quote that ends its string. */
function endOf({ start, length }: Found): number {
  return start + length;
}
