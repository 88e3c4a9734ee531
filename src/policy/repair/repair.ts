/** One change of a request that makes a target take it. */
export interface Repair {
  /**
   * - `unask`: usage is not asked for (`stream_options`)
   * - `unset`: a field that the route sets stays as the caller sent it
   * - `drop`: a field of the caller's is left out
   * - `rename`: a field is sent under the name `to`
   */
  readonly kind: 'unask' | 'unset' | 'drop' | 'rename';
  readonly field: string;
  /** As JSON, where only this value of the field is refused; null: any. */
  readonly value: string | null;
  readonly to: string | null;
  /** The same for equal repairs. */
  readonly key: string;
}

/** Longer values are not compared: the repair holds for the one request. */
export const VALUE_LENGTH_MAX = 200;

export const UNASK: Repair = { kind: 'unask', field: 'stream_options', value: null, to: null, key: 'unask' };

export function unset(field: string, value: string): Repair {
  return { kind: 'unset', field, value, to: null, key: `unset ${field}=${value}` };
}

export function drop(field: string, value: string | null): Repair {
  return { kind: 'drop', field, value, to: null, key: value === null ? `drop ${field}` : `drop ${field}=${value}` };
}

export function rename(field: string, to: string): Repair {
  return { kind: 'rename', field, value: null, to, key: `rename ${field} to ${to}` };
}
