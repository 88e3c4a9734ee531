/** `breakwater usage`: what was used and what it cost, from a running gateway. */
import type { UsageFigures, UsageGroup, UsageReport } from '../gateway/money/usage-report.ts';
import { askAdmin, configOf } from './admin-client.ts';
import { gatewayAt, ownGateway } from './own-gateway.ts';
import { OperatorError } from './fail.ts';
import { table } from './text-table.ts';

export interface UsageOptions {
  readonly by: string;
  readonly from?: string;
  readonly to?: string;
  readonly config?: string;
  readonly url?: string;
  readonly json?: boolean;
  readonly csv?: boolean;
}

interface Reply extends UsageReport {
  readonly from: string;
  readonly to: string;
  readonly by: readonly UsageGroup[];
}

export async function usage(options: UsageOptions): Promise<void> {
  if (options.json === true && options.csv === true) throw new OperatorError(['usage: --json and --csv exclude each other']);
  const config = await configOf(options, 'adminKey');
  const query = new URLSearchParams({ by: options.by });
  if (options.from !== undefined) query.set('from', options.from);
  if (options.to !== undefined) query.set('to', options.to);
  if (options.csv === true) query.set('format', 'csv');
  const gateway = options.url === undefined ? await ownGateway(config) : gatewayAt(options.url);
  const reply = await askAdmin(gateway, `/admin/usage?${query}`, config.server.adminKey);
  if (!reply.ok) throw new OperatorError([reply.why]);
  process.stdout.write(
    options.json === true || options.csv === true ? withNewline(reply.body) : usageTable(JSON.parse(reply.body) as Reply),
  );
}

function withNewline(text: string): string {
  return text.endsWith('\n') ? text : `${text}\n`;
}

const COLUMNS: readonly (readonly [title: string, figure: (figures: UsageFigures) => string])[] = [
  ['calls', ({ calls }) => grouped(calls)],
  ['input', ({ inputTokens }) => grouped(inputTokens)],
  ['cached', ({ cachedInputTokens }) => grouped(cachedInputTokens)],
  ['output', ({ outputTokens }) => grouped(outputTokens)],
  ['cost', ({ costUsd }) => usd(costUsd)],
  ['wasted', ({ wastedCostUsd, wastedCalls }) => (wastedCalls === 0 ? '' : usd(wastedCostUsd))],
  ['unpriced', ({ unpricedCalls }) => (unpricedCalls === 0 ? '' : grouped(unpricedCalls))],
];

const INCOMPLETE =
  '\nIncomplete: the gateway cannot read its store at present, so that calls of earlier days and of other instances are missing.\n';

/** The report as a table with a line for the total. */
export function usageTable({ from, to, by, rows, total, incomplete }: Reply): string {
  const head = [...by, ...COLUMNS.map(([title]) => title)];
  const lines = rows.map((row) => [...by.map((name) => row[name] ?? ''), ...COLUMNS.map(([, figure]) => figure(row))]);
  const last = [...by.map((_, i) => (i === 0 ? 'total' : '')), ...COLUMNS.map(([, figure]) => figure(total))];
  // An older gateway has no estimates.
  const estimatedCostUsd = (total as Partial<UsageFigures>).estimatedCostUsd ?? 0;
  const estimate = estimatedCostUsd === 0 ? '' : ` By estimate, what was not reported cost ${usd(estimatedCostUsd)}.`;
  const note =
    total.unpricedCalls === 0
      ? ''
      : `\nThe cost does not contain all of the unpriced calls: their target has no known price (see prices in the config), or the response reported no usage or broke off.${estimate}\n`;
  return `Usage from ${from} to ${to} (UTC)\n\n${table([head, ...lines, last], by.length)}${note}${incomplete === true ? INCOMPLETE : ''}`;
}

function grouped(count: number): string {
  return count.toLocaleString('en-US');
}

/** With at least two decimals, and at least three significant digits. */
function usd(amount: number): string {
  if (amount === 0) return '$0.00';
  return `$${
    amount >= 1
      ? amount.toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 })
      : Number(amount.toPrecision(3))
          .toFixed(12)
          .replace(/0{1,10}$/, '')
  }`;
}
