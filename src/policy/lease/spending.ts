/**
 * The ledger of a budget: each part also has what its member has spent in the period, as a cumulative amount, and the live members divide
 * what is left. The unspent part of a dead member counts as spent, because its calls may have been billed; that of one that left is free.
 *
 * A member that was taken for dead and is back reports its cumulative amount again, which replaces its part. If the part was merged into
 * `gone` meanwhile, the amount that was last acknowledged is subtracted there; the same where a ledger that lost its data was restored from
 * the claim of another member.
 */
import type { Instant } from '../../core/clock.ts';
import type { LeaseClaim, LeaseSpending, SpendingElsewhere } from '../../core/lease.ts';
import { inOrder } from './order.ts';

/** The part of a member that ended is merged into `gone` this long after its last exchange, in milliseconds, so that parts stay few. */
export const MERGED_MS = 3_600_000;

interface Part {
  readonly capacity: number;
  readonly spent: number;
  readonly reserved: number;
  readonly first: number;
  readonly rank: number;
  readonly since: Instant;
  readonly at: Instant;
}

/** What of a ledger is read and changed here. */
interface Spending {
  readonly epoch: number;
  gone: number;
  readonly parts: { delete(name: string): boolean } & ReadonlyMap<string, Part>;
}

/** Its member is dead or has left. */
export function mergeEnded(ledger: Spending, name: string, part: Part, now: Instant): void {
  const amount = part.spent + part.capacity;
  if (amount > 0 && now < part.at + MERGED_MS) return;
  ledger.gone += amount;
  ledger.parts.delete(name);
}

/** The claim with the capacity that is left to live members. */
export function withoutSpent(
  ledger: Spending,
  me: string,
  claim: LeaseClaim,
  { spent, acknowledged, elsewhere }: LeaseSpending,
  isLive: (member: string) => boolean,
): LeaseClaim {
  const before = ledger.parts.get(me);
  if (before === undefined) ledger.gone = Math.max(0, ledger.gone - acknowledged);
  const others = elsewhereOf({ ...ledger, gone: 0 }, me, isLive);
  // Afterwards the ledger has more recent amounts than any member.
  const isLost = claim.epoch === 0 ? ledger.parts.size === 0 : claim.epoch !== ledger.epoch;
  if (isLost) ledger.gone = Math.max(ledger.gone, elsewhere - others.spent);
  const used = ledger.gone + others.spent + others.lost + Math.max(before?.spent ?? 0, spent);
  return { ...claim, capacity: Math.max(0, claim.capacity - used) };
}

/**
 * What members get first: what their running requests hold, which they can't return, and in order what the first waiting requests need. An
 * even share would often be too small for any request. The one that is left with less collects it.
 */
export function firstNeeds(parts: ReadonlyMap<string, Part>, total: number): ReadonlyMap<string, number> {
  const needs = new Map([...parts].map(([name, { reserved }]) => [name, reserved]));
  let left = [...parts.values()].reduce((rest, { reserved }) => rest - reserved, total);
  for (const [name, { first, reserved }] of [...parts].filter(([, part]) => part.first > 0).toSorted(inOrder)) {
    const amount = Math.max(0, Math.min(left, first - reserved));
    needs.set(name, reserved + amount);
    left -= amount;
  }
  return needs;
}

/** What is spent and held by others than `me`. */
export function elsewhereOf(
  { gone, parts }: Pick<Spending, 'gone' | 'parts'>,
  me: string,
  isLive: (member: string) => boolean,
): SpendingElsewhere {
  let [spent, held, lost] = [gone, 0, 0];
  for (const [name, part] of parts) {
    if (name === me) continue;
    spent += part.spent;
    if (isLive(name)) held += part.capacity;
    else lost += part.capacity;
  }
  return { spent, held, lost };
}
