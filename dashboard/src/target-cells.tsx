import { count } from './format.ts';
import type { LimitUse } from './target-rows.ts';

export function Limit({ limit: { label, used, limit, source } }: { limit: LimitUse }) {
  const share = limit <= 0 ? 1 : Math.min(1, used / limit);
  return (
    <span class="limit" title={`${label}: ${Math.round(used)} of ${Math.round(limit)} used; ${source}`}>
      <span class="bar">
        <span class={share > 0.98 ? 'fill warn' : 'fill'} style={{ width: `${Math.round(share * 100)}%` }} />
      </span>
      {count(used)} / {count(limit)} <span class="muted">{label}</span>
    </span>
  );
}

/** Width of a bar and the gap after it. */
const barWidth = 2;
const stripHeight = 26;

/** Calls in intervals of five seconds; failures are coloured, from the bottom. */
export function Strip({ values, name }: { values: readonly number[]; name: string }) {
  const bars = values.length / 2;
  const most = Math.max(4, ...values.filter((_, index) => index % 2 === 0));
  const calls: string[] = [];
  const failed: string[] = [];
  for (let bar = 0; bar < bars; bar++) {
    const heightOf = (value: number): number => (value === 0 ? 0 : Math.max(1, Math.round((value / most) * stripHeight)));
    const [all, bad] = [heightOf(values[2 * bar]!), heightOf(values[2 * bar + 1]!)];
    if (all > bad) calls.push(`M${bar * barWidth} ${stripHeight - all}h1.5v${all - bad}h-1.5z`);
    if (bad > 0) failed.push(`M${bar * barWidth} ${stripHeight - bad}h1.5v${bad}h-1.5z`);
  }
  const totals = [0, 1].map((part) => values.reduce((sum, value, index) => (index % 2 === part ? sum + value : sum), 0));
  return (
    <svg
      class="strip"
      viewBox={`0 0 ${60 * barWidth} ${stripHeight}`}
      width={60 * barWidth}
      height={stripHeight}
      preserveAspectRatio="none"
      role="img"
      aria-label={`${name}: ${totals[0]} calls, ${totals[1]} failed`}
    >
      <path class="ok" d={calls.join('')} />
      <path class="failed" d={failed.join('')} />
    </svg>
  );
}
