/** Compares two runs of one load: a Markdown table of the changes, and thresholds on them. */
import { SCHEDULING_CLASSES } from '../../core/request.ts';
import { count, money, time } from './figures-text.ts';
import type { ScenarioFigures } from './scenario.ts';

/** Limits on the change; null: none. Shares from 0 to 1. */
export interface Thresholds {
  /** Of the p95 wait of any priority. Waits below `WAIT_MS_MIN` in both runs do not count. */
  readonly maxP95WaitIncrease: number | null;
  readonly maxCostIncrease: number | null;
  /** Of all requests, in the new run: refused, failed or interrupted. */
  readonly maxRefused: number | null;
}

/** A shorter wait is not noticed, so that its relative increase means nothing. */
const WAIT_MS_MIN = 100;

export interface DiffRow {
  readonly name: string;
  readonly before: number | null;
  readonly after: number | null;
  readonly unit: 'count' | 'ms' | 'usd' | 'share';
}

/** The figures that are compared, in order. */
export function diffRows(before: ScenarioFigures, after: ScenarioFigures): DiffRow[] {
  const row = (name: string, unit: DiffRow['unit'], of: (figures: ScenarioFigures) => number | null): DiffRow => ({
    name,
    unit,
    before: of(before),
    after: of(after),
  });
  const priorities = SCHEDULING_CLASSES.filter(
    (priority) => before.byPriority[priority].requests + after.byPriority[priority].requests > 0,
  );
  const targets = [...new Set([before, after].flatMap((figures) => figures.targets.map(({ target }) => target)))];
  return [
    row('requests', 'count', ({ requests }) => requests),
    row('not served', 'share', lostShare),
    ...priorities.flatMap((priority) => [
      row(`${priority}: wait, p50`, 'ms', ({ byPriority }) => byPriority[priority].waitMs?.p50 ?? null),
      row(`${priority}: wait, p95`, 'ms', ({ byPriority }) => byPriority[priority].waitMs?.p95 ?? null),
      row(`${priority}: full response, p95`, 'ms', ({ byPriority }) => byPriority[priority].durationMs?.p95 ?? null),
      row(`${priority}: refused`, 'count', ({ byPriority }) => byPriority[priority].refused),
      row(
        `${priority}: failed or interrupted`,
        'count',
        ({ byPriority }) => byPriority[priority].failed + byPriority[priority].interrupted,
      ),
    ]),
    row('cost', 'usd', ({ costUsd }) => costUsd),
    ...targets.map((name) => row(`calls: ${name}`, 'count', ({ targets: all }) => all.find(({ target }) => target === name)?.calls ?? 0)),
    ...targets.map((name) =>
      row(`rate limited: ${name}`, 'count', ({ targets: all }) => all.find(({ target }) => target === name)?.rateLimited ?? 0),
    ),
  ];
}

/** The share of requests that were not served; those whose caller disconnected count as served. */
function lostShare({ requests, success, byPriority }: ScenarioFigures): number {
  const left = SCHEDULING_CLASSES.reduce((sum, priority) => sum + byPriority[priority].cancelled, 0);
  return requests === 0 ? 0 : (requests - success - left) / requests;
}

/** One sentence per exceeded threshold. */
export function breaches(before: ScenarioFigures, after: ScenarioFigures, thresholds: Thresholds): string[] {
  const found: string[] = [];
  const { maxP95WaitIncrease, maxCostIncrease, maxRefused } = thresholds;
  for (const priority of maxP95WaitIncrease === null ? [] : SCHEDULING_CLASSES) {
    const [old, now] = [before, after].map(({ byPriority }) => byPriority[priority].waitMs?.p95 ?? 0) as [number, number];
    if (now >= WAIT_MS_MIN && now > old * (1 + maxP95WaitIncrease!))
      found.push(`the p95 wait of ${priority} rises from ${time(old)} to ${time(now)}, by more than ${percent(maxP95WaitIncrease!)}`);
  }
  const [oldCost, newCost] = [before.costUsd ?? 0, after.costUsd ?? 0];
  if (maxCostIncrease !== null && newCost > oldCost * (1 + maxCostIncrease))
    found.push(`the cost rises from ${money(oldCost)} to ${money(newCost)}, by more than ${percent(maxCostIncrease)}`);
  const lost = lostShare(after);
  if (maxRefused !== null && lost > maxRefused)
    found.push(`${percent(lost)} of the requests are not served, more than ${percent(maxRefused)}`);
  return found;
}

export function renderDiff(rows: readonly DiffRow[], found: readonly string[], notes: readonly string[]): string {
  const shown = rows.filter(({ before, after }) => before !== null || after !== null).filter((row) => !isNothing(row));
  const lines = shown.map(
    (row) => `| ${[row.name, cell(row.before, row.unit), cell(row.after, row.unit), change(row)].map(escaped).join(' | ')} |`,
  );
  const verdict = found.length === 0 ? ['All thresholds are met.'] : found.map((sentence) => `- **exceeded**: ${sentence}`);
  return [
    '| | before | after | change |',
    '|---|---:|---:|---:|',
    ...lines,
    '',
    ...verdict,
    '',
    ...notes.map((note) => `- ${note.trim()}`),
    '',
  ].join('\n');
}

function isNothing({ before, after, name }: DiffRow): boolean {
  return name.startsWith('rate limited') && before === 0 && after === 0;
}

function cell(value: number | null, unit: DiffRow['unit']): string {
  if (value === null) return '-';
  if (unit === 'ms') return time(value);
  if (unit === 'usd') return money(value);
  return unit === 'share' ? percent(value) : count(value);
}

function change({ before, after, unit }: DiffRow): string {
  if (before === null || after === null || before === after) return before === after ? '0' : '-';
  const sign = after > before ? '+' : '-';
  const by = Math.abs(after - before);
  if (unit === 'share') return `${sign}${(by * 100).toFixed(2)} pp`;
  const relative = before === 0 ? '' : ` (${sign}${((by / before) * 100).toFixed(1)} %)`;
  return `${sign}${cell(by, unit)}${relative}`;
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(2))} %`;
}

function escaped(text: string): string {
  return text.replaceAll('|', '\\|');
}
