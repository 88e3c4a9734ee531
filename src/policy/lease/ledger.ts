/**
 * The ledger of one limit that several instances (members) share: which part of it each of them holds.
 *
 * ## The division
 *
 * A token bucket of capacity C and rate r can be divided into buckets whose capacities add up to at most C, whose rates add up to at most
 * r, and whose levels were taken out of the original one. Together they never admit more than it. So each member spends its own bucket in
 * memory, without a round trip, and keeps it while the store is unreachable. The part that no member holds is the pool, a bucket like the
 * others. An exchange moves capacity, rate and tokens between one member and the pool. A sliding window, or a number of concurrent calls,
 * is divided in the same way, without rate and tokens; so is a budget, whose spent amount does not return (`spending.ts`).
 *
 * A limit that refills slowly, as one of a day, is leased in slices (`core/lease-slice.ts`), so that little is lost with a member: its refill
 * stays in the pool, and a part is tokens alone.
 *
 * ## Fairness
 *
 * Parts follow demand: each member reports its demand, and gets up to its max-min fair share from the pool. A member that holds more
 * while another one waits gives the excess back before it reports this, so a lost reply never leads to amounts that are spent twice.
 *
 * The member that has waited longest is served first, with what its first request needs, so that parts too small for one request are
 * collected in one place; concurrent calls, each of which needs one place, only if there are fewer places than members. Where a limit is too small to be divided, the refill stays in the pool, and the first member in order is granted
 * whole requests.
 *
 * The Redis driver runs the same arithmetic as a script; a test compares the two.
 */
import type { Instant } from '../../core/clock.ts';
import { isSliced, LAST_STARTS_MS, USAGE_SLOTS } from '../../core/lease.ts';
import type { LeaseClaim, LeaseGrant } from '../../core/lease.ts';
import { inOrder } from './order.ts';
import { elsewhereOf, firstNeeds, mergeEnded, withoutSpent } from './spending.ts';

export interface LedgerPart {
  capacity: number;
  rate: number;
  wantCapacity: number;
  wantRate: number;
  first: number;
  rank: number;
  since: Instant;
  /** Of a budget: what its member has spent in the period, and what of its capacity running requests hold. */
  spent: number;
  reserved: number;
  /** The last exchange of its member. */
  at: Instant;
  /** Of a window: what of its capacity returns within each slot after that. */
  usage: number[];
}

export interface Ledger {
  epoch: number;
  at: Instant;
  /** The level of the pool; below zero after a debt. */
  level: number;
  /** Of a budget: spent by members that ended, and whose parts are deleted. */
  gone: number;
  readonly parts: Map<string, LedgerPart>;
}

/** A limit is not divided if the members cannot each have this many of the largest waiting request: its refill stays in the pool. */
const DIVISIBLE_MIN = 2;

/** Smaller differences are rounding errors. */
const EPSILON = 1e-9;

const NONE: ReadonlyMap<string, number> = new Map();

export function createLedger(now: Instant, capacity: number, epoch: number): Ledger {
  return { epoch, at: now, level: capacity, gone: 0, parts: new Map() };
}

/** One exchange of the member `me`. `isLive`: whether a member still belongs to the fleet. */
export function exchange(ledger: Ledger, me: string, claimed: LeaseClaim, now: Instant, isLive: (member: string) => boolean): LeaseGrant {
  advance(ledger, claimed, now);
  for (const [name, part] of ledger.parts) if (name !== me && !isLive(name)) retire(ledger, name, part, claimed, now);
  const before = ledger.parts.get(me);
  const { spending } = claimed;
  const claim = spending === undefined ? claimed : withoutSpent(ledger, me, claimed, spending, isLive);
  // Ended members of a budget stay for what they have spent, and share nothing.
  const parts = spending === undefined ? ledger.parts : new Map([...ledger.parts].filter(([name]) => name === me || isLive(name)));
  if (claim.epoch !== 0 && claim.epoch !== ledger.epoch) ledger.level = Math.min(ledger.level, claim.poolLevel);
  const others = sumOfOthers(parts, me);
  const isWaiting = claim.first > 0;
  const part: LedgerPart = {
    capacity: clamp(claim.heldCapacity, 0, claim.capacity - others.capacity),
    rate: clamp(claim.heldRate, 0, claim.rate - others.rate),
    wantCapacity: claim.wantCapacity,
    wantRate: claim.wantRate,
    first: claim.first,
    rank: claim.rank,
    at: now,
    since: isWaiting && before !== undefined && before.first > 0 && !claim.hasStarted ? before.since : now,
    spent: Math.max(before?.spent ?? 0, spending?.spent ?? 0),
    reserved: spending?.reserved ?? 0,
    usage: [...claim.usage],
  };
  parts.set(me, part);
  ledger.parts.set(me, part);
  const room = claim.capacity - others.capacity - part.capacity;
  // Refill that it missed while it was disconnected is available only if its part was not granted to another member meanwhile.
  const debt = before !== undefined && claim.epoch === ledger.epoch ? claim.debt : Math.max(0, claim.debt);
  ledger.level = clamp(ledger.level + claim.returned - debt, -claim.capacity, room);
  const granted = grant(ledger, parts, me, claim, others);
  return spending === undefined ? granted : { ...granted, elsewhere: elsewhereOf(ledger, me, isLive) };
}

/** Its member is dead or has left: what it used or may have used is returned once it no longer counts at the provider, the rest at once. */
function retire(ledger: Ledger, name: string, part: LedgerPart, { countedMs, spending }: LeaseClaim, now: Instant): void {
  if (spending !== undefined) return mergeEnded(ledger, name, part, now);
  if (countedMs === 0 || now >= part.at + countedMs + LAST_STARTS_MS) {
    ledger.parts.delete(name);
    return;
  }
  part.usage.forEach((amount, i) => {
    if (now < part.at + ((i + 1) * countedMs) / USAGE_SLOTS) return;
    part.capacity = Math.max(0, part.capacity - amount);
    part.usage[i] = 0;
  });
  part.wantCapacity = part.capacity;
  part.first = 0;
}

function advance(ledger: Ledger, { capacity, rate }: LeaseClaim, now: Instant): void {
  let [freeCapacity, freeRate] = [capacity, rate];
  for (const part of ledger.parts.values()) {
    freeCapacity -= part.capacity;
    freeRate -= part.rate;
  }
  const passedMs = Math.max(0, now - ledger.at);
  ledger.level = Math.min(Math.max(0, freeCapacity), ledger.level + Math.max(0, freeRate) * passedMs);
  ledger.at = Math.max(now, ledger.at);
}

/** `parts`: of the members that share it. */
function grant(ledger: Ledger, parts: Ledger['parts'], me: string, claim: LeaseClaim, others: Sums): LeaseGrant {
  const part = parts.get(me)!;
  const isWaiting = part.first > 0;
  const oldest = oldestWaiting(parts);
  const isSlice = claim.spending === undefined && isSliced(claim);
  const isEven = claim.capacity >= DIVISIBLE_MIN * parts.size * Math.max(1, others.first, part.first) || parts.size === 1;
  const isDivided = isEven && !isSlice;
  const hasUnits = claim.rate === 0 && claim.spending === undefined;
  // Each call needs one place, which an even share has unless there are fewer places than members.
  const isEnough = hasUnits && claim.countedMs === 0 && claim.capacity >= parts.size;
  const first = oldest === null || isEnough ? NONE : new Map([[oldest, Math.min(parts.get(oldest)!.first, claim.capacity)]]);
  const ahead = claim.spending === undefined ? first : firstNeeds(parts, claim.capacity);
  const evenCapacity = fairShare(parts, me, claim.capacity, ahead, 'wantCapacity');
  const fairRate = isDivided ? fairShare(parts, me, claim.rate, NONE, 'wantRate') : 0;
  const freeRate = claim.rate - others.rate - part.rate;
  part.rate = isDivided ? part.rate + clamp(fairRate - part.rate, 0, freeRate) : part.rate;
  const tokens = claim.rate > 0 ? tokensFor(ledger, me, claim, { oldest, others: others.waiting, isDivided, isSlice }) : 0;
  // Where the limit is undivided, capacity without tokens would reduce that of the pool. Beside a slice it is room for refunds.
  const holding = (isSlice ? part.capacity : claim.level + claim.uncounted) + tokens;
  // A limit without refill may be a number of concurrent calls, which cannot be split: the first member in order gets a whole one.
  const fairCapacity = !isDivided && claim.rate > 0 ? holding : hasUnits ? Math.ceil(evenCapacity - EPSILON) : evenCapacity;
  const freeCapacity = claim.capacity - others.capacity - part.capacity;
  // What the tokens in the pool fill is granted with tokens only: they would be lost.
  const isFilled = claim.rate > 0 && !isSlice;
  const grantable = isFilled ? Math.min(freeCapacity, freeCapacity - ledger.level + tokens) : freeCapacity;
  const neededCapacity = Math.max(fairCapacity, holding);
  part.capacity += clamp(Math.min(neededCapacity, Math.max(claim.wantCapacity, holding)) - part.capacity, 0, grantable);
  const given = clamp(Math.min(tokens, part.capacity - claim.level - claim.uncounted), 0, tokens);
  ledger.level -= given;
  const poolRate = claim.rate - others.rate - part.rate;
  const missing = part.first - claim.level - given;
  const due = Math.min(evenCapacity, claim.wantCapacity);
  const needAhead = oldest !== null && oldest !== me && isWaiting ? parts.get(oldest)!.first : 0;
  const isShort = isWaiting && (claim.rate > 0 ? missing : part.first - part.capacity) > EPSILON;
  if (isSlice && !isShort) part.first = 0;
  return {
    epoch: ledger.epoch,
    poolLevel: claim.rate === 0 ? Math.max(0, claim.capacity - others.capacity - part.capacity) : ledger.level,
    capacity: part.capacity,
    rate: part.rate,
    tokens: given,
    fairCapacity,
    fairRate,
    isContested: others.starved > 0 || (!isDivided && !isSlice),
    readyInMs:
      !isWaiting || missing <= 0 || part.rate > 0 || poolRate <= claim.rate * 1e-9
        ? -1
        : Math.max(0, (missing + needAhead - ledger.level) / poolRate),
    lacks: isSlice
      ? isShort && others.capacity > EPSILON
      : (isWaiting && (part.capacity < due * 0.98 || part.rate < fairRate * 0.98)) || (isDivided && part.capacity < due / 2 - EPSILON),
  };
}

interface Sums {
  capacity: number;
  rate: number;
  /** Other members that wait, and those that have too little for their next request. */
  waiting: number;
  starved: number;
  /** The largest of the first waiting requests. */
  first: number;
}

function sumOfOthers(parts: ReadonlyMap<string, LedgerPart>, me: string): Sums {
  const sums = { capacity: 0, rate: 0, waiting: 0, starved: 0, first: 0 };
  for (const [name, part] of parts) {
    if (name === me) continue;
    sums.capacity += part.capacity;
    sums.rate += part.rate;
    if (part.first > 0) sums.waiting++;
    if (part.first > 0 || part.capacity < part.wantCapacity / 2 - EPSILON) sums.starved++;
    sums.first = Math.max(sums.first, part.first);
  }
  return sums;
}

function oldestWaiting(parts: ReadonlyMap<string, LedgerPart>): string | null {
  let oldest: string | null = null;
  for (const [name, part] of parts) {
    if (part.first <= 0) continue;
    const best = oldest === null ? null : parts.get(oldest)!;
    if (best === null || inOrder([name, part], [oldest!, best]) < 0) oldest = name;
  }
  return oldest;
}

/** Max-min fairness: equal shares, but none above the demand of its member. `ahead`: what members get before that. */
function fairShare(
  parts: ReadonlyMap<string, LedgerPart>,
  me: string,
  total: number,
  ahead: ReadonlyMap<string, number>,
  want: 'wantCapacity' | 'wantRate',
): number {
  const wants = [...parts].map(([name, part]) => Math.max(0, part[want] - (ahead.get(name) ?? 0))).sort((a, b) => a - b);
  let left = Math.max(
    0,
    [...ahead.values()].reduce((rest, amount) => rest - amount, total),
  );
  let level = 0;
  for (let i = 0; i < wants.length; i++) {
    level = left / (wants.length - i);
    if (wants[i]! >= level) break;
    left -= wants[i]!;
    level = wants[i]!;
  }
  const own = ahead.get(me) ?? 0;
  return own + Math.min(Math.max(0, parts.get(me)![want] - own), level);
}

/** The tokens from the pool: the first member in order gets what it needs; the rest is divided among the waiting members. */
function tokensFor(ledger: Ledger, me: string, claim: LeaseClaim, who: Waiting): number {
  if (claim.wantTokens <= 0 || ledger.level <= 0) return 0;
  const isFirst = who.oldest === null || who.oldest === me;
  const free = Math.max(0, ledger.level - (isFirst ? 0 : ledger.parts.get(who.oldest)!.first));
  // What it has spent beyond its slice while the store was away comes first.
  const owed = who.isSlice ? Math.min(ledger.level, Math.max(0, -claim.level)) : 0;
  if (who.isSlice && claim.first === 0) return Math.min(claim.wantTokens, who.others > 0 ? owed : Math.max(owed, free));
  const missing = Math.max(0, claim.first - claim.level);
  const needed = isFirst && missing <= free ? missing : 0;
  const tokens = Math.min(claim.wantTokens, Math.max(free / (who.others + 1), needed));
  // Without refill of its own, a part of less than a whole request would be useless.
  return who.isDivided || (claim.first > 0 && tokens >= missing) ? tokens : Math.min(claim.wantTokens, owed);
}

interface Waiting {
  readonly oldest: string | null;
  /** Other members that wait. */
  readonly others: number;
  readonly isDivided: boolean;
  readonly isSlice: boolean;
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), Math.max(least, most));
}
