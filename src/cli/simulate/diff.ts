/** Compares two runs of one load: a Markdown table of the changes, and thresholds on them. */
import { SCHEDULING_CLASSES } from '../../core/request.ts';
import { count, money, time } from './figures-text.ts';
import type { ScenarioFigures, TargetFigures } from './scenario.ts';

/** Limits on the change; null: none. Shares from 0 to 1. */
export interface Thresholds {
  /** Of the p95 wait of any priority, which must also still be served. Waits below `WAIT_MS_MIN` in both runs do not count. */
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
  const { maxP95WaitIncrease, maxCostIncrease, maxRefused } = thresholds;
  const waits = maxP95WaitIncrease === null ? [] : waitBreaches(before, after, maxP95WaitIncrease);
  const costs = maxCostIncrease === null ? [] : costBreaches(before, after, maxCostIncrease);
  const lost = lostShare(after);
  if (maxRefused === null || lost <= maxRefused) return [...waits, ...costs];
  return [...waits, ...costs, `${percent(lost)} of the requests are not served, more than ${percent(maxRefused)}`];
}

/** Requests that fail at once lower the wait of all, and those that wait until they fail are not among the served ones: both count. */
function waitBreaches(before: ScenarioFigures, after: ScenarioFigures, increase: number): string[] {
  return SCHEDULING_CLASSES.flatMap((priority) => {
    const [old, now] = [before.byPriority[priority], after.byPriority[priority]];
    if (old.success > 0 && now.success === 0) return [`no request of ${priority} is served any more`];
    const pairs = [[old.waitMs, now.waitMs] as const, [old.servedWaitMs, now.servedWaitMs] as const];
    for (const [from, to] of pairs.map((pair) => pair.map((waits) => waits?.p95 ?? 0) as [number, number]))
      if (to >= WAIT_MS_MIN && to > from * (1 + increase))
        return [`the p95 wait of ${priority} rises from ${time(from)} to ${time(to)}, by more than ${percent(increase)}`];
    return [];
  });
}

function costBreaches(before: ScenarioFigures, after: ScenarioFigures, increase: number): string[] {
  const [old, now] = [unpricedOf(before), unpricedOf(after)];
  if (now.share > old.share)
    return [`the cost is unknown: ${count(now.calls)} calls have no price (${now.targets}); set theirs under prices`];
  const [oldCost, newCost] = [before.costUsd ?? 0, after.costUsd ?? 0];
  if (newCost <= oldCost * (1 + increase)) return [];
  return [`the cost rises from ${money(oldCost)} to ${money(newCost)}, by more than ${percent(increase)}`];
}

/** What the costs leave out. */
export function costNotes(before: ScenarioFigures, after: ScenarioFigures): string[] {
  const runs = [['before', unpricedOf(before)] as const, ['after', unpricedOf(after)] as const];
  return runs.flatMap(([name, { calls, targets }]) =>
    calls === 0 ? [] : [`${name}: the cost leaves out ${count(calls)} calls, whose targets have no price (${targets})`],
  );
}

/** Calls whose cost is unknown, with their share of the successful ones and their targets. */
function unpricedOf({ targets }: ScenarioFigures): { calls: number; share: number; targets: string } {
  const sum = (of: (target: TargetFigures) => number): number => targets.reduce((all, target) => all + of(target), 0);
  const calls = sum(({ unpricedCalls }) => unpricedCalls);
  const names = targets.flatMap(({ target, unpricedCalls }) => (unpricedCalls > 0 ? [target] : []));
  return {
    calls,
    share:
      calls === 0
        ? 0
        : calls /
          Math.max(
            calls,
            sum(({ success }) => success),
          ),
    targets: names.join(', '),
  };
}

/** `found`: the exceeded thresholds; null: there are no thresholds. */
export function renderDiff(rows: readonly DiffRow[], found: readonly string[] | null, notes: readonly string[]): string {
  const shown = rows.filter(({ before, after }) => before !== null || after !== null).filter((row) => !isNothing(row));
  const lines = shown.map(
    (row) => `| ${[row.name, cell(row.before, row.unit), cell(row.after, row.unit), change(row)].map(escaped).join(' | ')} |`,
  );
  const verdict = found?.length === 0 ? ['All thresholds are met.'] : (found ?? []).map((sentence) => `- **exceeded**: ${sentence}`);
  return [
    '| | before | after | change |',
    '|---|---:|---:|---:|',
    ...lines,
    '',
    ...verdict,
    ...(verdict.length === 0 ? [] : ['']),
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
