/**
 * A request body as it came, with the places of its top-level members: what may be edited can be edited, and every
 * other byte stays. `members` is empty for bodies that are passed through as bytes.
 */
export interface RequestBody {
  readonly bytes: Uint8Array;
  /** Top-level members in order; `start`/`end` span the whole value, `keyStart` the opening quote of its name. */
  readonly members: readonly BodyMember[];
  /** What the caller sent as content type; null for JSON. */
  readonly contentType: string | null;
}

export interface BodyMember {
  readonly name: string;
  readonly keyStart: number;
  readonly start: number;
  readonly end: number;
}
