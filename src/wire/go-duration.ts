const MILLISECONDS: Readonly<Record<string, number>> = {
  h: 3_600_000,
  m: 60_000,
  s: 1_000,
  ms: 1,
  us: 0.001,
  µs: 0.001,
  μs: 0.001,
  ns: 0.000001,
};

/**
 * Milliseconds of a duration as Go prints it (`6m0s`, `1m12.5s`, `250ms`, `0`), as in the rate-limit headers
 * of OpenAI and Groq; null for anything else, negative ones included.
 */
export function parseGoDuration(text: string): number | null {
  const trimmed = text.trim();
  if (trimmed === '0') return 0;
  const part = /(\d+(?:\.\d*)?|\.\d+)(h|ms|m|s|us|µs|μs|ns)/y;
  let total = 0;
  let end = 0;
  while (end < trimmed.length) {
    part.lastIndex = end;
    const match = part.exec(trimmed);
    if (match === null) return null;
    total += Number(match[1]) * (MILLISECONDS[match[2] ?? ''] ?? Number.NaN);
    end = part.lastIndex;
  }
  return end > 0 && Number.isFinite(total) ? total : null;
}
