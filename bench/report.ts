/** The tables on stdout. */
import type { Budget, Case, ContenderKey, Measured, Results } from './cases.ts';
import { contenders } from './contenders.ts';

const columns: readonly { key: keyof Measured; head: string; show(value: number): string }[] = [
  { key: 'perSecond', head: 'per second', show: (value) => value.toFixed(0) },
  { key: 'medianMs', head: 'median ms', show: (value) => value.toFixed(3) },
  { key: 'p99Ms', head: 'p99 ms', show: (value) => value.toFixed(3) },
  { key: 'cpuMs', head: 'cpu ms each', show: (value) => value.toFixed(3) },
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

export function judge({ name, budgets }: Case, results: Results): Verdict[] {
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

function bound({ atLeast, unit }: Budget, value: number | undefined): string {
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
