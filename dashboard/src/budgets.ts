/** What the budgets of clients have refused, and the limits of clients in words. Pure. */
import { count, dollars } from './format.ts';
import type { ClientActivity, ClientLimit, SessionLimit } from './frames.ts';

/** Number of requests of the window for which the budget of a client had no room. After its renewal the earlier ones say nothing of it. */
export function overBudgetOf({ overBudget, overBudgetAt }: ClientActivity, budget: ClientLimit | undefined): number {
  const renewedAt = budget?.renewedAt ?? -Infinity;
  return overBudgetAt === null || overBudgetAt < renewedAt ? 0 : overBudget;
}

/** `$0.60 / $5.00 budget`, `$5.20 / $5.00 budget, over` */
export function limitText({ kind, limit, available, overrunUsd = 0 }: ClientLimit): string {
  if (kind === 'budget') {
    const over = overrunUsd > 0 ? ', over' : '';
    return `${dollars(Math.max(0, limit - available) + overrunUsd)} / ${dollars(limit)} budget${over}`;
  }
  return `${count(Math.max(0, limit - available))} / ${count(limit)} ${shortKind(kind)}`;
}

/** `req/min`, `input tok/day`, as for targets. */
function shortKind(kind: string): string {
  const words = kind.replaceAll(/([A-Z])/g, ' $1').toLowerCase();
  return words.replace('requests', 'req').replace('tokens', 'tok').replace(/ per /, '/').replace('minute', 'min').replace('second', 's');
}

/** `per session: 10 req/min, 5.0k tok, $2.00` */
export function sessionText({ requestsPerMinute, tokens, usd }: SessionLimit): string {
  const parts = [
    requestsPerMinute === null ? '' : `${count(requestsPerMinute)} req/min`,
    tokens === null ? '' : `${count(tokens)} tok`,
    usd === null ? '' : dollars(usd),
  ];
  return `per session: ${parts.filter((part) => part !== '').join(', ')}`;
}
