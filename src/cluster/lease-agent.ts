/**
 * Keeps this instance's leases of shared limits up to date. No request waits for it: limits are spent in memory, and leases are exchanged
 * with the store in the background, all limits in one step. While the store is unreachable each limit continues with its last known share.
 */
import type { Clock, Instant, Timer } from '../core/clock.ts';
import type { Leasable, LeaseClaim, LeaseGrant } from '../core/lease.ts';
import { MEMBER_SILENCE_MS, type ExchangeReply, type SharedStore } from '../store/shared-store.ts';

/** Interval of the heartbeat, which also exchanges whatever changed, in milliseconds. */
const HEARTBEAT_MS = 1_000;
/** A limit that runs short is exchanged at once, then at this interval. */
const SHORT_MS = 600;
/** If a grant lacks capacity that others are about to return, the first repeat comes after this delay, in milliseconds; it doubles up to `SHORT_MS`. */
const LACKING_RETRY_MS = 60;
/** A lease larger than the fair share by this factor is reduced early. */
const EXCESS_FACTOR = 1.05;
/** Delay of that, in milliseconds; capacity in use, which can't be returned yet, waits for the next heartbeat. */
const EXCESS_MS = 50;
/** Minimum interval between exchanges on other members' calls, in milliseconds. */
const CALLED_MS = 400;
/** Minimum interval between two exchanges. */
const GAP_MS = 25;
/** If an exchange takes longer, the store counts as unreachable and limits continue with their last known share. */
const UNREACHABLE_MS = 1_000;
/** After this much longer, the exchange is abandoned and another one is tried, in milliseconds. */
const GIVE_UP_MS = 2_000;
/** Without a reply for so long, although the store is reachable, this process was frozen, in milliseconds. */
const FROZEN_MS = MEMBER_SILENCE_MS - 500;
/** Maximum time that startup waits for the first exchange. */
const START_MS = 1_000;
/** Maximum number of claims in one exchange; the rest follows in the next. */
const CLAIMS_MAX = 200;

export interface LeaseAgentOptions {
  readonly clock: Clock;
  readonly shared: SharedStore;
  /** Queued requests may be able to start. */
  readonly onGranted: () => void;
  /** The membership changed, or the connection to the store was lost or restored. */
  readonly onFleet?: (fleet: FleetStatus) => void;
  /** While the store is away there are at least so many instances. Default 1. */
  readonly expectedInstances?: () => number;
}

export interface FleetStatus {
  /** This instance's member id; null if it is not known yet. */
  readonly member: string | null;
  readonly members: readonly string[];
  /** False while the store is unreachable; each limit then continues with this instance's share. */
  readonly isLinked: boolean;
  /** By how many each limit is divided then. */
  readonly shares: number;
}

interface TrackedLease {
  readonly lease: Leasable;
  /** It ran short since its last exchange, here or at another member, and is exchanged at this time; Infinity: it did not. */
  dueAt: Instant;
  /** Another member is short of it. */
  isCalled: boolean;
  isLeaving: boolean;
  /** When it was last exchanged because it ran short. */
  shortAt: Instant;
  /** When it was last reduced early. */
  reducedAt: Instant;
  /** If the next grant lacks capacity, the delay of its repeat. */
  retryMs: number;
}

export class LeaseAgent {
  readonly #options: LeaseAgentOptions;
  readonly #leases = new Map<string, TrackedLease>();
  #members: readonly string[] = [];
  #isStarted = false;
  #isLinked = false;
  /** The connection is open; an exchange may still be pending. */
  #isConnected = false;
  #sentAt: Instant | null = null;
  #lastAt: Instant = -Infinity;
  #timer: Timer | null = null;
  #firesAt: Instant = Infinity;
  #unreachableTimer: Timer | null = null;
  #isClosed = false;
  #calledAt: Instant = -Infinity;
  /** When the last exchange that was replied to was sent. */
  #aliveAt: Instant = -Infinity;
  /** Number of the current exchange; the reply to an abandoned one is ignored. */
  #round = 0;
  exchanges = 0;
  #whenFirst: (() => void) | null = null;

  constructor(options: LeaseAgentOptions) {
    this.#options = options;
  }

  /** Instances that the limits are divided by while the store is away. */
  get #count(): number {
    return Math.max(1, this.#members.length, this.#options.expectedInstances?.() ?? 1);
  }

  get status(): FleetStatus {
    return { shares: this.#count, member: this.#options.shared.member, members: this.#members, isLinked: this.#isLinked };
  }

  /** False: it was frozen, and the others may count it as dead and use its leases. */
  isCurrent(now: Instant): boolean {
    return !this.#isLinked || now - this.#aliveAt < FROZEN_MS;
  }

  /** Resolves after the first exchange, or after `START_MS`. */
  start(): Promise<void> {
    const { clock } = this.#options;
    this.#isStarted = true;
    return new Promise((resolve) => {
      const timer = clock.schedule(START_MS, () => {
        if (!this.#isLinked) this.#detach();
        this.#settleFirst();
      });
      this.#whenFirst = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  /** The store's connection was made or lost. */
  linked(isConnected: boolean): void {
    this.#isConnected = isConnected;
    if (isConnected) return this.#schedule(0);
    this.#round++;
    this.#sentAt = null;
    this.#unreachableTimer?.cancel();
    this.#timer?.cancel();
    this.#firesAt = Infinity;
    this.#detach();
  }

  /** Adds a limit; its lease is claimed at once. */
  add(lease: Leasable): void {
    const replaced = this.#leases.get(lease.id);
    const never = { shortAt: -Infinity, reducedAt: -Infinity };
    this.#leases.set(lease.id, { lease, dueAt: -Infinity, isCalled: false, isLeaving: false, retryMs: LACKING_RETRY_MS, ...never });
    if (replaced !== undefined) this.#retire(replaced.lease);
    // Before the start there are no other members and no requests.
    if (!this.#isStarted || this.#whenFirst !== null) return;
    if (this.#isLinked) this.#schedule(0);
    else lease.detach(this.#options.clock.now(), this.#count);
  }

  /** The limit is no longer used: the next exchange returns its lease. */
  remove(id: string): void {
    const tracked = this.#leases.get(id);
    if (tracked === undefined) return;
    tracked.isLeaving = true;
    this.#schedule(0);
  }

  /** The limit refused a request. */
  short(id: string): void {
    const tracked = this.#leases.get(id);
    if (tracked === undefined) return;
    const now = this.#options.clock.now();
    const dueAt = tracked.lease.isSupplied === true ? now : tracked.shortAt + SHORT_MS;
    if (tracked.dueAt <= dueAt) return;
    tracked.dueAt = dueAt;
    this.#schedule(dueAt - now);
  }

  /** Another member is short of these limits. */
  called(ids: readonly string[]): void {
    const now = this.#options.clock.now();
    const dueAt = this.#calledAt > now ? this.#calledAt : Math.max(now, this.#calledAt + CALLED_MS);
    let isHeld = false;
    for (const id of ids) {
      // The ledger of a budget has its period after the id.
      const tracked = this.#leases.get(id) ?? this.#leases.get(id.slice(0, id.lastIndexOf('@')));
      if (tracked === undefined) continue;
      isHeld = tracked.isCalled = true;
      tracked.dueAt = Math.min(tracked.dueAt, dueAt);
    }
    if (!isHeld) return;
    this.#calledAt = dueAt;
    this.#schedule(dueAt - now);
  }

  async leave(): Promise<void> {
    this.#isClosed = true;
    this.#round++;
    this.#timer?.cancel();
    this.#unreachableTimer?.cancel();
    this.#settleFirst();
    const now = this.#options.clock.now();
    const claims = [...this.#leases.values()].map(({ lease }) => lease.leave(now));
    // Those of budgets first, since what they have spent is in no later claim; capacity is free again without one.
    claims.sort((a, b) => Number(b.spending !== undefined) - Number(a.spending !== undefined));
    await this.#options.shared.leave(claims.slice(0, CLAIMS_MAX));
  }

  #schedule(delayMs: number): void {
    if (this.#isClosed || !this.#isConnected || this.#sentAt !== null) return;
    const { clock } = this.#options;
    const now = clock.now();
    const at = Math.max(now + delayMs, this.#lastAt + GAP_MS);
    if (at >= this.#firesAt) return;
    this.#timer?.cancel();
    this.#firesAt = at;
    this.#timer = clock.schedule(at - now, () => {
      this.#firesAt = Infinity;
      this.#send();
    });
  }

  #send(): void {
    const { clock, shared } = this.#options;
    const now = clock.now();
    const sent: TrackedLease[] = [];
    const claims: LeaseClaim[] = [];
    for (const tracked of this.#leases.values()) {
      if (claims.length === CLAIMS_MAX) break;
      const claim = tracked.isLeaving ? this.#retire(tracked.lease) : tracked.lease.claim(now, this.#members.length, tracked.isCalled);
      const wasShort = tracked.dueAt < Infinity;
      tracked.dueAt = Infinity;
      tracked.isCalled = false;
      if (claim === null) continue;
      claims.push(claim);
      sent.push(tracked);
      if (wasShort) tracked.shortAt = now;
    }
    for (const tracked of sent) {
      // Claims beyond CLAIMS_MAX come first in the next exchange.
      this.#leases.delete(tracked.lease.id);
      if (!tracked.isLeaving) this.#leases.set(tracked.lease.id, tracked);
    }
    const round = ++this.#round;
    this.#sentAt = this.#lastAt = now;
    this.exchanges++;
    this.#unreachableTimer?.cancel();
    this.#unreachableTimer = clock.schedule(UNREACHABLE_MS, () => {
      this.#detach();
      this.#unreachableTimer = clock.schedule(GIVE_UP_MS, () => this.#giveUp());
    });
    shared.exchange(claims).then(
      (reply) => {
        if (round === this.#round) this.#take(reply, sent, claims.length === CLAIMS_MAX);
      },
      () => {
        if (round === this.#round) this.#failed();
      },
    );
  }

  #take({ members, grants }: ExchangeReply, sent: readonly TrackedLease[], hasMore: boolean): void {
    const now = this.#options.clock.now();
    const sentAt = this.#sentAt!;
    const tookMs = now - sentAt;
    this.#sentAt = null;
    this.#aliveAt = sentAt;
    this.#unreachableTimer?.cancel();
    const isSame = members.length === this.#members.length && members.every((member, i) => member === this.#members[i]);
    const hasChanged = !this.#isLinked || !isSame;
    // The fair share depends on the number of members.
    if (members.length > this.#members.length) hasMore = true;
    this.#members = members;
    // A store that is slow stays unreachable, although its grants are used.
    if (tookMs < UNREACHABLE_MS) this.#isLinked = true;
    let hasGrown = false;
    let nextMs = hasMore ? 0 : HEARTBEAT_MS;
    grants.forEach((grant, i) => {
      if (sent[i]!.isLeaving) return;
      if (sent[i]!.lease.granted(now, grant)) hasGrown = true;
      nextMs = Math.min(nextMs, nextAfter(grant, sent[i]!, now));
    });
    // Limits that were added or ran short during the exchange.
    for (const { dueAt } of this.#leases.values()) nextMs = Math.min(nextMs, dueAt - sentAt);
    this.#settleFirst();
    this.#schedule(Math.max(0, nextMs - tookMs));
    if (hasChanged && this.#isLinked) this.#options.onFleet?.(this.status);
    if (hasGrown) this.#options.onGranted();
  }

  #failed(): void {
    this.#sentAt = null;
    this.#unreachableTimer?.cancel();
    this.#detach();
    this.#schedule(HEARTBEAT_MS);
  }

  #giveUp(): void {
    this.#round++;
    this.#sentAt = null;
    this.#schedule(0);
  }

  /** Returns the lease. Requests queued for it continue with this instance's share. */
  #retire(lease: Leasable): LeaseClaim {
    const now = this.#options.clock.now();
    const claim = lease.leave(now);
    lease.detach(now, this.#count);
    return claim;
  }

  #settleFirst(): void {
    this.#whenFirst?.();
    this.#whenFirst = null;
  }

  #detach(): void {
    const now = this.#options.clock.now();
    const members = this.#count;
    for (const { lease } of this.#leases.values()) lease.detach(now, members);
    const wasLinked = this.#isLinked;
    this.#isLinked = false;
    if (wasLinked) this.#options.onFleet?.(this.status);
    this.#options.onGranted();
  }
}

function nextAfter(grant: LeaseGrant, tracked: TrackedLease, now: Instant): number {
  const { isContested, capacity, rate, fairCapacity, fairRate, lacks, readyInMs } = grant;
  const { retryMs } = tracked;
  tracked.retryMs = lacks ? Math.min(2 * retryMs, SHORT_MS) : LACKING_RETRY_MS;
  const isExcess = isContested && (capacity > fairCapacity * EXCESS_FACTOR || rate > fairRate * EXCESS_FACTOR);
  if (isExcess && now - tracked.reducedAt >= HEARTBEAT_MS) {
    tracked.reducedAt = now;
    return EXCESS_MS;
  }
  if (readyInMs >= 0) return readyInMs + 1;
  return lacks ? retryMs : HEARTBEAT_MS;
}
