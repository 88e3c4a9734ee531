/**
 * A request body as it came, with the places of its top-level members: what may be edited can be edited, and every
 * other byte stays. `members` is empty for bodies that are passed through as bytes.
 */
export interface RequestBody {
  readonly bytes: Uint8Array;
  /** Top-level members in order; `start`/`end` span the whole value, `keyStart` the opening quote of its name. */
  readonly members: readonly BodyMember[];
  /** Values at all depths; 0 for bodies that are passed through as bytes. */
  readonly values: number;
  /** It may hold opaque pieces (`opaque/opaque.ts`); absent: it holds none. */
  readonly opaque?: boolean;
  /** What the caller sent as content type; null for JSON. */
  readonly contentType: string | null;
  /** Of a body that is passed through as bytes: what was found in it; null: it was decoded, or is not looked into. */
  readonly passed: PassedBody | null;
}

export interface PassedBody {
  /** Where the model's name stands; null: it names none. */
  readonly model: { readonly start: number; readonly end: number; readonly name: string; readonly isJson: boolean } | null;
  /** Of a multipart body; null: it is none. */
  readonly parts: readonly { readonly headersStart: number; readonly end: number }[] | null;
}

export interface BodyMember {
  readonly name: string;
  readonly keyStart: number;
  readonly start: number;
  readonly end: number;
  /** Of an array or object: what stands directly inside. 0 for any other value. */
  readonly items: number;
  /** Where the first and the last of these values begin; `start` where there are none. */
  readonly firstItem: number;
  readonly lastItem: number;
  /** Strings, numbers, booleans and nulls in it, at all depths; the value itself where it is one. */
  readonly scalars: number;
}
