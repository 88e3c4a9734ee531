/** Figures and times for display: short, with units, of stable meaning. */

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const secondFormat = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });

/** `14:02` */
export function clockTime(epochMs: number): string {
  return clockFormat.format(epochMs);
}

/** `14:02:09` */
export function clockSecond(epochMs: number): string {
  return secondFormat.format(epochMs);
}

/** `0 ms`, `850 ms`, `1.2 s`, `45 s`, `3 min`, `2.5 h` */
export function duration(ms: number): string {
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 9_950) return `${(ms / 1_000).toFixed(1)} s`;
  if (ms < 119_500) return `${Math.round(ms / 1_000)} s`;
  if (ms < 5_970_000) return `${Math.round(ms / 60_000)} min`;
  return `${Math.round(ms / 360_000) / 10} h`;
}

export function durationOrDash(ms: number | null): string {
  return ms === null ? '–' : duration(ms);
}

/** `7`, `950`, `1.2k`, `34k`, `1.5M` */
export function count(value: number): string {
  if (value < 1_000) return String(Math.round(value));
  if (value < 9_950) return `${(value / 1_000).toFixed(1)}k`;
  if (value < 999_500) return `${Math.round(value / 1_000)}k`;
  return `${(value / 1_000_000).toFixed(1)}M`;
}

/** A rate: `0.4`, `12`, `1.2k` */
export function rate(value: number): string {
  return value > 0 && value < 9.95 ? value.toFixed(1) : count(value);
}

/** Formats a share from 0 to 1: `0 %`, `0.4 %`, `62 %`. Rounds to 0 or 100 % only if exact. */
export function percent(share: number): string {
  if (share <= 0) return '0 %';
  if (share >= 1) return '100 %';
  const value = share * 100;
  if (value < 0.1) return '< 0.1 %';
  if (value > 99) return value >= 99.9 ? '> 99.9 %' : `${value.toFixed(1)} %`;
  return value < 9.95 ? `${value.toFixed(1)} %` : `${Math.round(value)} %`;
}

/** `$0.0021`, `$1.34`, `$120` */
export function dollars(usd: number): string {
  if (usd === 0) return '$0';
  if (usd < 0.01) return `$${usd.toPrecision(2)}`;
  return usd < 100 ? `$${usd.toFixed(2)}` : `$${Math.round(usd)}`;
}

/** A wait, as far as it is known. */
export function wait(waitMs: number | 'never' | null): string {
  if (waitMs === null) return 'until a request ends';
  return waitMs === 'never' ? 'permanently' : `for ${duration(waitMs)}`;
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}
