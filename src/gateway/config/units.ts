/** Parses and formats durations and sizes. */

const durationUnitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const sizeUnitBytes = { b: 1, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 } as const;

/** Milliseconds of `250ms`, `30s`, `5m`, `1h`, `1d` (fractions allowed: `1.5s`); null: not a duration. */
export function parseDuration(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text.trim());
  if (!match) return null;
  return Number(match[1]) * durationUnitMs[match[2] as keyof typeof durationUnitMs];
}

/** Bytes of `512b`, `16kb`, `64mb`, `1gb` (powers of 1024, any case); null: not a size. */
export function parseSize(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)(b|kb|mb|gb)$/.exec(text.trim().toLowerCase());
  if (!match) return null;
  return Math.round(Number(match[1]) * sizeUnitBytes[match[2] as keyof typeof sizeUnitBytes]);
}

/** Parses a number in text, such as an environment variable; null: not a number. */
export function parseNumber(text: string): number | null {
  const trimmed = text.trim();
  return /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(trimmed) ? Number(trimmed) : null;
}

/** The duration in its largest whole unit: 1500 → `1500ms`, 60000 → `1m`. */
export function formatDuration(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    if (ms > 0 && ms % durationUnitMs[unit] === 0) return `${ms / durationUnitMs[unit]}${unit}`;
  }
  return `${ms}ms`;
}

/** The size in its largest whole unit: 65536 → `64kb`. */
export function formatSize(bytes: number): string {
  for (const unit of ['gb', 'mb', 'kb'] as const) {
    if (bytes > 0 && bytes % sizeUnitBytes[unit] === 0) return `${bytes / sizeUnitBytes[unit]}${unit}`;
  }
  return `${bytes}b`;
}
