/**
 * A request body as received, with the positions of its top-level members: they can be edited while every other byte is preserved.
 * `members` is empty for bodies that are passed through as bytes.
 */
export interface RequestBody {
  readonly bytes: Uint8Array;
  /** Top-level members in order; `start`/`end` span the whole value, `keyStart` the opening quote of its name. */
  readonly members: readonly BodyMember[];
  /** Values at all depths; 0 for bodies that are passed through as bytes. */
  readonly values: number;
  /** True: it may contain opaque pieces (`opaque/opaque.ts`); absent: it contains none. */
  readonly opaque?: boolean;
  /** The caller's content type; null for JSON. */
  readonly contentType: string | null;
  /** For a body that is passed through as bytes: what was found in it; null: it was decoded, or not inspected. */
  readonly passed: PassthroughBody | null;
}

export interface PassthroughBody {
  /** The position of the model's name; null: it names none. */
  readonly model: { readonly start: number; readonly end: number; readonly name: string; readonly isJson: boolean } | null;
  /** The body, divided at each place of a Gemini model (`models/NAME`); absent: it names none. */
  readonly pieces?: readonly Uint8Array[];
  /** Null: not multipart. */
  readonly parts: readonly { readonly headersStart: number; readonly end: number }[] | null;
}

export interface BodyMember {
  readonly name: string;
  readonly keyStart: number;
  readonly start: number;
  readonly end: number;
  /** The number of direct children of an array or object; 0 for any other value. */
  readonly items: number;
  /** The positions of the first and last child; `start` if there are none. */
  readonly firstItem: number;
  readonly lastItem: number;
  /** The number of strings, numbers, booleans and nulls in it, at all depths; 1 if it is one itself. */
  readonly scalars: number;
}
