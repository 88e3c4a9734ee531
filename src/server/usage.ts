/** `GET /admin/usage`: usage and cost by day, client, model, target or provider, as JSON or CSV. */
import { dayOf } from '../core/day.ts';
import { BreakwaterError } from '../core/errors.ts';
import { tableOrigin } from '../gateway/known-models.ts';
import { USAGE_GROUPS } from '../gateway/money/usage-report.ts';
import type { UsageFigures, UsageGroup, UsageReport } from '../gateway/money/usage-report.ts';
import { adminQuery } from './admin-query.ts';
import type { Call } from './call.ts';

const DEFAULT_DAYS = 30;
const DAY_MS = 86_400_000;

export async function showUsage(call: Call): Promise<void> {
  const query = adminQuery(call, ['by', 'from', 'to', 'format'], { by: 'separate its values with commas' });
  const by = readGroups(query.get('by'));
  const today = dayOf(call.gateway.clock.epochMs());
  const to = readDay(query, 'to') ?? today;
  const from = readDay(query, 'from') ?? dayOf(Date.parse(to) - (DEFAULT_DAYS - 1) * DAY_MS);
  if (from > to) throw new BreakwaterError('invalid_request', `from (${from}) must not be after to (${to})`, { param: 'from' });
  const format = query.get('format') ?? 'json';
  if (format !== 'json' && format !== 'csv') {
    throw new BreakwaterError('invalid_request', `format must be json or csv (got ${JSON.stringify(format)})`, { param: 'format' });
  }
  const report = await call.gateway.money.report(by, from, to);
  if (format === 'csv') {
    // Nothing in a table could say that rows are missing.
    if (report.incomplete) throw new BreakwaterError('store_unavailable', 'the store cannot be read, and the table would lack calls');
    call.send(200, 'text/csv; charset=utf-8', Buffer.from(toCsv(by, report)));
    return;
  }
  const budgets = Object.fromEntries(call.gateway.money.clients.status());
  call.sendJson(200, { from, to, by, ...report, budgets, priceTable: tableOrigin() });
}

function readGroups(text: string | null): UsageGroup[] {
  if (text === null || text === '') return ['client', 'model', 'target'];
  const names = [...new Set(text.split(',').map((name) => name.trim()))];
  return names.map((name) => {
    const group = USAGE_GROUPS.find((known) => known === name);
    if (group !== undefined) return group;
    throw new BreakwaterError('invalid_request', `by must be a list of ${USAGE_GROUPS.join(', ')} (got ${JSON.stringify(name)})`, {
      param: 'by',
    });
  });
}

function readDay(query: URLSearchParams, name: string): string | null {
  const text = query.get(name);
  if (text === null || text === '') return null;
  if (/^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)) && dayOf(Date.parse(text)) === text) return text;
  throw new BreakwaterError('invalid_request', `${name} must be a day as YYYY-MM-DD (got ${JSON.stringify(text)})`, { param: name });
}

/** A header line, and a line for each row. */
function toCsv(by: readonly UsageGroup[], { rows, total }: UsageReport): string {
  const figures = Object.keys(total) as (keyof UsageFigures)[];
  const lines = rows.map((row) => [...by.map((name) => csvText(row[name] ?? '')), ...figures.map((name) => decimal(row[name]))]);
  return [[...by, ...figures], ...lines].map((line) => `${line.join(',')}\r\n`).join('');
}

/** Quoted where needed (RFC 4180). A spreadsheet would run a text that begins like a formula. */
function csvText(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Without an exponent. */
function decimal(value: number): string {
  const text = String(value);
  return text.includes('e') ? value.toFixed(12).replace(/0+$/, '') : text;
}
