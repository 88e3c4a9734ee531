const UNITS_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const WINDOW_MAX_MS = 30 * 86_400_000;

export const WINDOW_RULE = 'a duration such as 24h, 30m or 7d, at most 30d';

/** A completion window in milliseconds; null if it is invalid. */
export function windowMs(value: unknown): number | null {
  const parts = typeof value === 'string' ? /^(\d{1,6})([smhd])$/.exec(value) : null;
  const ms = parts === null ? 0 : Number(parts[1]) * UNITS_MS[parts[2]!]!;
  return ms > 0 && ms <= WINDOW_MAX_MS ? ms : null;
}
