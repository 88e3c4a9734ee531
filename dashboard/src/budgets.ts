/** What the budgets of clients have refused. Pure. */
import type { ClientActivity, ClientLimit } from './frames.ts';

/** Number of requests of the window for which the budget of a client had no room. After its renewal the earlier ones say nothing of it. */
export function overBudgetOf({ overBudget, overBudgetAt }: ClientActivity, budget: ClientLimit | undefined): number {
  const renewedAt = budget?.renewedAt ?? -Infinity;
  return overBudgetAt === null || overBudgetAt < renewedAt ? 0 : overBudget;
}
