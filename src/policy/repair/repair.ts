/** A change to a request that makes a target accept it. */
export interface Repair {
  /**
   * - `unask`: usage is not requested (`stream_options`)
   * - `unset`: a field that the route sets keeps the caller's value
   * - `drop`: a field of the caller is omitted
   * - `rename`: a field is sent under the name `to`
   */
  readonly kind: 'unask' | 'unset' | 'drop' | 'rename';
  readonly field: string;
  /** As JSON, where only this value of the field is refused; null: any value. */
  readonly value: string | null;
  readonly to: string | null;
  /** Equal for equal repairs. */
  readonly key: string;
}

/** Longer values are not compared: the repair applies to a single request. */
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
