/** The tables on stdout. */
import type { Rows } from './alone.ts';
import { cpuRatios, type Budget, type Case, type ContenderKey, type Measured, type Results } from './cases.ts';
import { contenders } from './contenders.ts';
import { quantile } from './quantile.ts';

const columns: readonly { key: keyof Measured; head: string; show(value: number): string }[] = [
  { key: 'perSecond', head: 'per second', show: (value) => value.toFixed(0) },
  { key: 'medianMs', head: 'median ms', show: (value) => value.toFixed(3) },
  { key: 'p99Ms', head: 'p99 ms', show: (value) => value.toFixed(3) },
  { key: 'cpuUs', head: 'cpu us each', show: (value) => value.toFixed(1) },
  { key: 'mainThreadUs', head: 'main thread', show: (value) => value.toFixed(1) },
  { key: 'allocatedBytes', head: 'bytes each', show: (value) => value.toFixed(0) },
  { key: 'minorPerThousand', head: 'minor gc/1000', show: (value) => value.toFixed(2) },
  { key: 'majorPerThousand', head: 'major gc/1000', show: (value) => value.toFixed(2) },
  { key: 'memoryMb', head: 'memory MB', show: (value) => value.toFixed(0) },
  { key: 'startMs', head: 'start ms', show: (value) => value.toFixed(0) },
];

export interface Verdict {
  readonly case: string;
  readonly what: string;
  readonly value: number | undefined;
  readonly budget: string;
  readonly goal: string;
  readonly isMet: boolean | undefined;
}

interface Judged<R> {
  readonly name: string;
  readonly budgets: readonly Budget<R>[];
}

export function judge<R>({ name, budgets }: Judged<R>, results: R): Verdict[] {
  return budgets.map((budget) => {
    const value = budget.value(results);
    const isMet = value === undefined ? undefined : value >= (budget.atLeast ?? -Infinity) && value <= (budget.atMost ?? Infinity);
    return {
      case: name,
      what: budget.what,
      value,
      budget: bound(budget, budget.atLeast ?? budget.atMost),
      goal: bound(budget, budget.goal),
      isMet,
    };
  });
}

function bound<R>({ atLeast, unit }: Budget<R>, value: number | undefined): string {
  return value === undefined ? '' : `${atLeast === undefined ? '≤' : '≥'} ${value} ${unit}`;
}

export function casesTable({ title }: Case, results: Results): string {
  const rows = Object.entries(results) as [ContenderKey, Measured][];
  const shown = columns.filter(({ key }) => rows.some(([, measured]) => measured[key] !== undefined));
  const cells = rows.map(([key, measured]) => [
    contenders[key].name,
    ...shown.map((column) => {
      const value = measured[column.key];
      return value === undefined ? '' : column.show(value);
    }),
  ]);
  return table([[title, ...shown.map(({ head }) => head)], ...cells]);
}

/** How the contenders' CPU time compares with the relay's, round by round, and how reliable the run is. */
export function noiseText(results: Results): string {
  const lines: string[] = [];
  for (const key of ['nginx', 'breakwater', 'against'] as const) {
    const ratios = cpuRatios(results, key);
    if (ratios.length === 0) continue;
    const [low, middle, high] = [0.25, 0.5, 0.75].map((share) => quantile(ratios, share).toFixed(2));
    const mainThread = quantile(cpuRatios(results, key, 'mainThreadUs'), 0.5).toFixed(2);
    const range = `middle half of ${ratios.length} rounds: ${low} to ${high}`;
    lines.push(`relay's CPU time over that of ${contenders[key].name}: ${middle} (${range}); of the main threads: ${mainThread}`);
  }
  const noise = noiseOf(results);
  if (noise !== null) {
    lines.push(
      `noise: the relay's CPU time varied by ${noise.spread.toFixed(0)} %, others used ${noise.others.toFixed(0)} % of the core` +
        (noise.isNoisy ? '; this run is noisy, trust the ratios only' : ''),
    );
  }
  return lines.join('\n');
}

/** In percent: how far the middle half of the relay's rounds lies apart, and how busy other processes kept the core. */
interface Noise {
  readonly spread: number;
  readonly others: number;
  readonly isNoisy: boolean;
}

/** Null: there are too few rounds. */
export function noiseOf(results: Results): Noise | null {
  const own = (results.relay?.rounds ?? []).flatMap(({ cpuUs = [] }) => cpuUs);
  if (own.length < 2) return null;
  const spread = ((quantile(own, 0.75) - quantile(own, 0.25)) / quantile(own, 0.5)) * 100;
  const others = quantile(
    Object.values(results).flatMap(({ rounds = [] }) => rounds.flatMap(({ othersPercent = [] }) => othersPercent)),
    0.5,
  );
  return { spread, others, isNoisy: spread > 15 || others > 25 };
}

export function rowsTable({ title }: { readonly title: string }, rows: Rows): string {
  const heads = [...new Set(Object.values(rows).flatMap((row) => Object.keys(row)))];
  const cells = Object.entries(rows).map(([name, row]) => [name, ...heads.map((head) => (head in row ? shown(row[head]!) : ''))]);
  return table([[title, ...heads], ...cells]);
}

function shown(value: number): string {
  return value.toFixed(value > 0 && value < 1000 && !Number.isInteger(value) ? 1 : 0);
}

export function verdictsTable(verdicts: readonly Verdict[]): string {
  const answer = { true: 'pass', false: 'MISS', undefined: 'not measured' };
  return table([
    ['case', 'what', 'measured', 'budget', 'later', ''],
    ...verdicts.map(({ case: name, what, value, budget, goal, isMet }) => {
      return [name, what, value === undefined ? '' : value.toFixed(value < 10 ? 3 : 0), budget, goal, answer[`${isMet}`]];
    }),
  ]);
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
