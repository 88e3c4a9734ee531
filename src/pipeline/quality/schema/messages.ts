/** The result of validating a text against a schema. */
export type Fit = 'fits' | 'differs' | Unjudged;

/** Why it could not be validated, for the timeline. */
export type Unjudged = 'its schema is invalid' | 'it timed out' | 'it is too large' | 'too many validations are queued';

/** Sent to the worker. */
export interface SchemaQuery {
  readonly id: number;
  /** The client that the schema belongs to: compiled schemas are not shared between clients. */
  readonly owner: string;
  /** JSON. */
  readonly schema: string;
  /** A JSON text. */
  readonly text: string;
}

/** Sent by the worker. */
export interface SchemaReply {
  readonly id: number;
  readonly fit: Fit;
}
