/** The semantics of writes, for all drivers: pure functions on rows and changes. */

/** A stored entry: JSON text, and its expiry (null: never). */
export interface Row {
  readonly text: string;
  readonly expiresAtMs: number | null;
}

export type Deltas = Readonly<Record<string, number>>;

export type Change =
  | { readonly kind: 'put'; readonly text: string; readonly expiresAtMs: number | null }
  /** `expiresAtMs` null: the entry keeps its expiry. */
  | { readonly kind: 'add'; readonly deltas: Deltas; readonly expiresAtMs: number | null }
  | { readonly kind: 'delete' };

export function isExpired(entry: { readonly expiresAtMs: number | null }, nowMs: number): boolean {
  return entry.expiresAtMs !== null && entry.expiresAtMs <= nowMs;
}

/** The row after the change; undefined: none. */
export function applyChange(row: Row | undefined, change: Change, nowMs: number): Row | undefined {
  if (change.kind === 'delete') return undefined;
  if (change.kind === 'put') return { text: change.text, expiresAtMs: change.expiresAtMs };
  const live = row !== undefined && !isExpired(row, nowMs) ? row : undefined;
  return {
    text: JSON.stringify(addDeltas(live && parseJson(live.text), change.deltas)),
    expiresAtMs: change.expiresAtMs ?? live?.expiresAtMs ?? null,
  };
}

/** One change with the effect of both in order. */
export function combine(earlier: Change, later: Change, nowMs: number): Change {
  if (later.kind !== 'add') return later;
  if (earlier.kind === 'add' && !isExpired(earlier, nowMs)) {
    return {
      kind: 'add',
      deltas: addDeltas(earlier.deltas, later.deltas),
      expiresAtMs: later.expiresAtMs ?? earlier.expiresAtMs,
    };
  }
  const before = earlier.kind === 'put' ? earlier : undefined;
  const after = applyChange(before, later, nowMs) as Row; // an addition always leaves a row
  return { kind: 'put', ...after };
}

/** Fields that are not numbers are replaced. */
function addDeltas(value: unknown, deltas: Deltas): Record<string, number> {
  const sums = isObject(value) ? ({ ...value } as Record<string, number>) : {};
  for (const [field, delta] of Object.entries(deltas)) {
    const before: unknown = Object.hasOwn(sums, field) ? sums[field] : 0;
    sums[field] = typeof before === 'number' ? before + delta : delta;
  }
  return sums;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value, or undefined if the text was damaged externally. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
