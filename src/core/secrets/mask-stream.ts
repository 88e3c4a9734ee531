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
  /** Which of the events held back. */
  readonly event: number;
}

/** A secret whose beginning ends a JSON string, in an event that is held back. */
interface OpenSecret {
  readonly form: Buffer;
  matched: number;
  readonly spots: Spot[];
  misses: number;
}

/** For parts that are whole events: a secret may begin at the end of one event's text and go on at the beginning of the next one's. */
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
    this.#open = this.#open.filter((secret) => this.#goesOn(secret, masked, event));
    for (const found of parts) if (!isWhole(found)) this.#openFrom(found, masked, event);
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

  #openFrom(found: Found, bytes: Uint8Array, event: number): void {
    const { form, skipped, length } = found;
    const secret: OpenSecret = { form, matched: skipped + length, spots: [{ ...rangeOf(found), event }], misses: 0 };
    // Several events may have come as one part.
    if (this.#extend(secret, bytes, event, found.start + length + 1) !== 'whole') this.#open.push(secret);
  }

  /** False: it is complete, or the rest will not come. */
  #goesOn(secret: OpenSecret, bytes: Uint8Array, event: number): boolean {
    const result = this.#extend(secret, bytes, event, 0);
    if (result === 'missed') secret.misses++;
    return result !== 'whole' && secret.misses <= MISSES_MAX;
  }

  /** Looks for the rest at the beginning of a JSON string, from this position on. */
  #extend(secret: OpenSecret, bytes: Uint8Array, event: number, from: number): 'whole' | 'part' | 'missed' {
    let result: 'part' | 'missed' = 'missed';
    for (let quote = bytes.indexOf(QUOTE, from); quote >= 0; quote = bytes.indexOf(QUOTE, quote + 1)) {
      const start = quote + 1;
      const length = commonLength(bytes, start, secret.form, secret.matched);
      if (length === 0) continue;
      const isRest = secret.matched + length === secret.form.length;
      if (!isRest && bytes[start + length] !== QUOTE) continue;
      secret.matched += length;
      secret.spots.push({ event, start, end: start + length });
      secret.misses = 0;
      result = 'part';
      if (isRest) {
        this.#maskSpots(secret);
        return 'whole';
      }
    }
    return result;
  }

  #maskSpots({ spots }: OpenSecret): void {
    for (const spot of spots) this.#held[spot.event] = maskRanges(this.#held[spot.event]!, [spot]);
  }
}
