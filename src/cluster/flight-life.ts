/**
 * Whether a recording is still written. Its parts in the store may be of an instance that is gone, so nothing of them is passed on before one
 * of these: the end of the response, the heartbeat that its instance writes for a new follower, or any part that is written after the first look.
 */
import type { PlacedPart } from '../store/flight-store.ts';
import { BEAT_MS } from './flight-recorder.ts';

/** Following ends after this long without a part or a heartbeat, in milliseconds. Here: without a recording, and with one. */
const FIRST_PART_MS = 1_000;
export const SILENT_MS = BEAT_MS + 500;
/** And after this long without a further part. */
const NEXT_PART_MS = 3_500;

const LAST_KINDS: ReadonlySet<string> = new Set(['end', 'whole', 'fail', 'refuse', 'gone']);

export class FlightLife {
  readonly #follower: string;
  /** The place of the last part at the first look; empty: there was none. */
  #first: string | null = null;
  isShown = false;

  constructor(follower: string) {
    this.#follower = follower;
  }

  get silenceMaxMs(): number {
    if (this.isShown) return NEXT_PART_MS;
    return this.#first === '' ? FIRST_PART_MS : SILENT_MS;
  }

  /** Takes the last part of the recording, null: it has none. Returns `isShown`. */
  look(last: PlacedPart | null): boolean {
    const place = last?.place ?? '';
    this.#first ??= place;
    if (last !== null) this.isShown ||= place !== this.#first || this.#isSign(last);
    return this.isShown;
  }

  #isSign(last: PlacedPart): boolean {
    if (last.kind === 'beat') return isBeatFor(last, this.#follower);
    return LAST_KINDS.has(last.kind) && !isForOther(last, this.#follower);
  }
}

/** The heartbeat that the instance writes when this follower sends a message. */
export function isBeatFor(part: PlacedPart, follower: string): boolean {
  return part.kind === 'beat' && isMetaOf(part, follower);
}

/** The refusal of another follower. */
export function isForOther(part: PlacedPart, follower: string): boolean {
  return part.kind === 'gone' && part.meta.startsWith('"') && !isMetaOf(part, follower);
}

function isMetaOf({ meta }: PlacedPart, follower: string): boolean {
  return meta === JSON.stringify(follower);
}
