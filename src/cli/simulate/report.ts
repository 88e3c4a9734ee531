/** Renders the figures as a text table with one column per scenario. */
import { SCHEDULING_CLASSES } from '../../core/request.ts';
import { table } from '../text-table.ts';
import { count, money, share, time } from './figures-text.ts';
import type { Quantiles, ScenarioFigures, TargetFigures } from './scenario.ts';
import { verdictOf } from './verdict.ts';

type Row = readonly [name: string, cell: (figures: ScenarioFigures) => string];

export function renderReport(scenarios: readonly ScenarioFigures[], notes: readonly string[]): string {
  const rows: (Row | null)[] = [
    ['', ({ without }) => (without === null ? 'all providers' : `without ${without}`)],
    ['requests', ({ requests }) => count(requests)],
    ['success', ({ success, requests }) => share(success, requests)],
    ['time, first arrival to last response', ({ durationMs }) => time(durationMs)],
    ['cost', ({ costUsd }) => (costUsd === null ? '-' : money(costUsd))],
    null,
    ...SCHEDULING_CLASSES.flatMap((priority) => priorityRows(priority, scenarios)),
    ...targetsOf(scenarios).flatMap((target) => targetRows(target)),
    ...errorRows(scenarios),
  ];
  const noteLines = notes.map((note) => `- ${note}\n`).join('');
  const verdict = scenarios.flatMap(verdictOf).map((sentence) => `${sentence}\n`);
  return `${verdict.join('')}\n${tableOf(rows, scenarios)}\nwait, first content and full response are p50 / p95 / p99\n${noteLines}`;
}

function priorityRows(priority: (typeof SCHEDULING_CLASSES)[number], scenarios: readonly ScenarioFigures[]): (Row | null)[] {
  if (scenarios.every(({ byPriority }) => byPriority[priority].requests === 0)) return [];
  const of = ({ byPriority }: ScenarioFigures) => byPriority[priority];
  return [
    [`priority ${priority}`, (figures) => count(of(figures).requests)],
    ['  success', (figures) => share(of(figures).success, of(figures).requests)],
    ['  refused / failed / broken / left', (figures) => lost(of(figures))],
    ['  wait', (figures) => times(of(figures).waitMs)],
    ['  first content', (figures) => times(of(figures).firstContentMs)],
    ['  full response', (figures) => times(of(figures).durationMs)],
    null,
  ];
}

function lost({ refused, failed, interrupted, cancelled }: ScenarioFigures['byPriority']['high']): string {
  return [refused, failed, interrupted, cancelled].map(count).join(' / ');
}

function targetsOf(scenarios: readonly ScenarioFigures[]): string[] {
  return [...new Set(scenarios.flatMap(({ targets }) => targets.map(({ target }) => target)))];
}

function targetRows(name: string): (Row | null)[] {
  const cell =
    (value: (target: TargetFigures) => string) =>
    ({ targets }: ScenarioFigures): string => {
      const found = targets.find(({ target }) => target === name);
      return found === undefined ? '-' : value(found);
    };
  return [
    [`target ${name}: calls`, cell(({ calls }) => count(calls))],
    ['  success', cell(({ success, calls }) => share(success, calls))],
    ['  rate limited by provider', cell(({ rateLimited }) => count(rateLimited))],
    ['  tokens in / out', cell(({ inputTokens, outputTokens }) => `${count(inputTokens)} / ${count(outputTokens)}`)],
    ['  cost', cell(({ costUsd }) => (costUsd === null ? '-' : money(costUsd)))],
    null,
  ];
}

function errorRows(scenarios: readonly ScenarioFigures[]): Row[] {
  const codes = [...new Set(scenarios.flatMap(({ errors }) => Object.keys(errors)))];
  return codes.map((code) => [`error ${code}`, ({ errors }) => count(errors[code] ?? 0)]);
}

function tableOf(rows: readonly (Row | null)[], scenarios: readonly ScenarioFigures[]): string {
  const cells = rows.map((row) => (row === null ? [] : [row[0], ...scenarios.map((figures) => row[1](figures))]));
  return `${table(cells, 1).trimEnd()}\n`;
}

function times(quantiles: Quantiles | null): string {
  return quantiles === null ? '-' : [quantiles.p50, quantiles.p95, quantiles.p99].map(time).join(' / ');
}
