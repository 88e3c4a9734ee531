/**
 * Reads the rate-limit headers of successive responses from one provider. Usually only the remaining counts change: those are read without
 * heap allocation, and only for names that this provider uses.
 */
import { firstValue, type HeadersByName } from '../core/headers.ts';
import type { HeaderLookup } from './header-lookup.ts';
import { parseCount, RATE_LIMIT_FAMILIES, readRateLimitFamily } from './rate-limit-headers.ts';
import type { LimitKind, LimitWindow, RateLimitHint } from './rate-limit-headers.ts';

/** Facts about the provider that header names do not state. */
export interface ReaderOptions {
  /** The window of a limit whose name does not state one. */
  windowOf(kind: LimitKind): LimitWindow;
  /** Bare names (`x-ratelimit-limit`) mean a window of one second, whatever their reset. */
  readonly bareIsSecond: boolean;
}

export interface LimitListener {
  /** A limit that is new, has changed, or is reported again in full. */
  onLimit(hint: RateLimitHint, windowMs: number): void;
  /** The limit is unchanged since its last report. */
  onRemaining(family: number, kind: LimitKind, remaining: number): void;
}

const WINDOW_MS: Readonly<Record<LimitWindow, number>> = { second: 1_000, minute: 60_000, day: 86_400_000 };
/** A window of a minute never takes longer to be restored. */
const MINUTE_RESET_MAX_MS = 90_000;
const SECOND_RESET_MAX_MS = 1_500;
/** All names are checked in the first responses, and later in one of every `FULL_READ_INTERVAL`. */
const FULL_READS_AT_FIRST = 4;
const FULL_READ_INTERVAL = 64;

interface Known {
  readonly family: number;
  limitText: string | undefined;
  windowMs: number;
}

export class RateLimitReader {
  readonly #options: ReaderOptions;
  #known: Known[] = [];
  #reads = 0;

  constructor(options: ReaderOptions) {
    this.#options = options;
  }

  /** `epochMs`: for resets that are dates. `thoroughly`: check every name. */
  read(headers: HeadersByName, epochMs: number, listener: LimitListener, thoroughly = false): void {
    const isThorough = thoroughly || this.#reads < FULL_READS_AT_FIRST || this.#reads % FULL_READ_INTERVAL === 0;
    this.#reads++;
    if (isThorough) return this.#readAll(headers, epochMs, listener);
    for (const known of this.#known) {
      const names = RATE_LIMIT_FAMILIES[known.family]!;
      const limitText = firstValue(headers[names.limit]);
      const remainingText = firstValue(headers[names.remaining]);
      if (limitText === undefined && remainingText === undefined) continue;
      if (limitText !== known.limitText) {
        this.#report(headers, epochMs, known, listener);
        continue;
      }
      const remaining = remainingText === undefined ? null : wholeNumber(remainingText);
      if (remaining !== null) listener.onRemaining(known.family, names.kind, remaining);
    }
  }

  #readAll(headers: HeadersByName, epochMs: number, listener: LimitListener): void {
    for (let family = 0; family < RATE_LIMIT_FAMILIES.length; family++) {
      const names = RATE_LIMIT_FAMILIES[family]!;
      if (headers[names.limit] === undefined && headers[names.remaining] === undefined) continue;
      let known = this.#known.find((one) => one.family === family);
      if (known === undefined) this.#known.push((known = { family, limitText: undefined, windowMs: 0 }));
      this.#report(headers, epochMs, known, listener);
    }
  }

  #report(headers: HeadersByName, epochMs: number, known: Known, listener: LimitListener): void {
    const hint = readRateLimitFamily(lookupIn(headers), known.family, epochMs);
    if (hint === null) return;
    known.limitText = firstValue(headers[RATE_LIMIT_FAMILIES[known.family]!.limit]);
    known.windowMs = Math.max(known.windowMs, this.#windowMs(hint));
    listener.onLimit(hint, known.windowMs);
  }

  /** A window that was once seen to be long stays long: right after it is restored, its reset is short. */
  #windowMs({ kind, window, resetMs }: RateLimitHint): number {
    if (window === 'second' && !this.#options.bareIsSecond && resetMs !== null && resetMs > SECOND_RESET_MAX_MS) {
      return resetMs > MINUTE_RESET_MAX_MS ? WINDOW_MS.day : WINDOW_MS.minute;
    }
    if (window !== null) return WINDOW_MS[window];
    const usual = this.#options.windowOf(kind);
    return usual === 'minute' && resetMs !== null && resetMs > MINUTE_RESET_MAX_MS ? WINDOW_MS.day : WINDOW_MS[usual];
  }
}

function lookupIn(headers: HeadersByName): HeaderLookup {
  return { get: (name) => firstValue(headers[name]) ?? null };
}

const ZERO = 48;
const DIGITS_MAX = 15;

/** The same as `parseCount`, but cheap for what providers actually send: digits. */
function wholeNumber(text: string): number | null {
  if (text.length === 0 || text.length > DIGITS_MAX) return parseCount(text);
  let number = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - ZERO;
    if (digit < 0 || digit > 9) return parseCount(text);
    number = number * 10 + digit;
  }
  return number;
}
