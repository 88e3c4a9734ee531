/** What a text is by a schema; where that can't be found out, nothing is said against it. */
export type Fit = 'fits' | 'differs' | Unjudged;

/** Why it could not be found out, for the timeline. */
export type Unjudged = 'its schema can not be read' | 'it took too long' | 'it is too large' | 'too many others wait';

/** To the worker. */
export interface SchemaQuery {
  readonly id: number;
  /** Whose schema it is: what one makes of a schema is nothing to another who has the same. */
  readonly owner: string;
  /** JSON. */
  readonly schema: string;
  /** A JSON text. */
  readonly text: string;
}

/** From the worker. */
export interface SchemaReply {
  readonly id: number;
  readonly fit: Fit;
}
