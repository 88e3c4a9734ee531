/**
 * The ledger of a budget: each part also has what its member has spent in the period, as a cumulative amount, and the members divide what
 * is left. The unspent part of a dead member counts as spent, because its calls may have been billed; that of one that left is free.
 *
 * A member that was taken for dead and is back reports its cumulative amount again, which replaces its part. If the part was merged into
 * `gone` meanwhile, what the member knows to be counted is subtracted there; the same where a ledger that lost its data was restored from
 * what another member knew.
 */
import type { LeaseClaim, SpendingElsewhere } from '../../core/lease.ts';

/** The part of a member that ended is merged into `gone` this long after its last exchange, in milliseconds, so that parts stay few. */
export const MERGED_MS = 3_600_000;

/** What of a ledger is read and changed here. */
interface Spending {
  readonly epoch: number;
  gone: number;
  readonly parts: ReadonlyMap<string, { readonly capacity: number; readonly spent: number }>;
}

/** The claim with the capacity that is not spent; of another limit, the same claim. */
export function withoutSpent(ledger: Spending, me: string, claim: LeaseClaim): LeaseClaim {
  const { spending } = claim;
  if (spending === undefined) return claim;
  const before = ledger.parts.get(me);
  if (before === undefined) ledger.gone = Math.max(0, ledger.gone - spending.acknowledged);
  let others = 0;
  for (const [name, { spent }] of ledger.parts) if (name !== me) others += spent;
  // Afterwards the ledger knows more than any member: only its own loss is made up for.
  const isLost = claim.epoch === 0 ? ledger.parts.size === 0 : claim.epoch !== ledger.epoch;
  if (isLost) ledger.gone = Math.max(ledger.gone, spending.elsewhere - others);
  const spent = others + ledger.gone + Math.max(before?.spent ?? 0, spending.spent);
  return { ...claim, capacity: Math.max(0, claim.capacity - spent) };
}

/** What is spent and held by others than `me`. */
export function elsewhereOf(ledger: Spending, me: string, isLive: (member: string) => boolean): SpendingElsewhere {
  let [spent, held, lost] = [ledger.gone, 0, 0];
  for (const [name, part] of ledger.parts) {
    if (name === me) continue;
    spent += part.spent;
    if (isLive(name)) held += part.capacity;
    else lost += part.capacity;
  }
  return { spent, held, lost };
}
