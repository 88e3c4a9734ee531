/**
 * Keeps this instance's parts of shared limits in step with the fleet. Nothing waits for it: limits are spent in memory, and it exchanges
 * parts with the store in the background, all limits in one step. While the store is away each limit goes on with its last known share.
 */
import type { Clock, Instant, Timer } from '../core/clock.ts';
import type { Leasable, LeaseClaim, LeaseGrant } from '../core/lease.ts';
import type { ExchangeReply, SharedStore } from '../store/shared-store.ts';

/** A member says that it lives, and exchanges what has changed, so often, in milliseconds. */
const BEAT_MS = 1_000;
/** A limit that is short asks at once, and then so often. */
const SHORT_MS = 600;
/** What it lacked others give back meanwhile: it asks again after this, the first time, in milliseconds. */
const LACKED_MS = 60;
/** Holding so much more than its fair part, it gives back at once. */
const TOO_MUCH = 1.05;
/** After this, in milliseconds; what is in use and can't be given back waits for the next beat. */
const TOO_MUCH_MS = 50;
/** Calls of others are followed at most so often, in milliseconds. */
const CALLED_MS = 400;
/** Two exchanges are at least so far apart. */
const GAP_MS = 25;
/** Without an answer for so long the store is away: everything goes on with its last known share. */
const AWAY_MS = 1_000;
/** An exchange without an answer for so much longer is given up, and another one tried, in milliseconds. */
const GIVE_UP_MS = 2_000;
/** The start waits so long for the first exchange. */
const FIRST_MS = 1_000;
/** The most claims of one exchange; the rest follows in the next. */
const CLAIMS_MAX = 200;

export interface LeaseAgentOptions {
  readonly clock: Clock;
  readonly shared: SharedStore;
  /** Somebody who waits may be able to start. */
  readonly onGranted: () => void;
  /** The fleet has changed, or the store is away or back. */
  readonly onFleet?: (fleet: FleetStatus) => void;
  /** While the store is away there are at least so many instances. Default 1. */
  readonly expectedInstances?: () => number;
}

export interface FleetStatus {
  /** This instance; null: it is not known yet. */
  readonly member: string | null;
  readonly members: readonly string[];
  /** False: the store is away, and each limit goes on with this instance's share. */
  readonly isLinked: boolean;
  /** By how many each limit is divided then. */
  readonly shares: number;
}

interface Known {
  readonly lease: Leasable;
  /** It is short: since its last exchange somebody asked in vain. */
  isShort: boolean;
  isLeaving: boolean;
  /** When it last asked because it was short. */
  askedAt: Instant;
  /** When it last gave back out of turn. */
  gaveAt: Instant;
  /** It lacked something the last time, too. */
  hasLacked: boolean;
}

export class LeaseAgent {
  readonly #options: LeaseAgentOptions;
  readonly #known = new Map<string, Known>();
  #members: readonly string[] = [];
  #isStarted = false;
  #isLinked = false;
  /** The connection stands; an exchange may still be due. */
  #isConnected = false;
  #sentAt: Instant | null = null;
  #lastAt: Instant = -Infinity;
  #timer: Timer | null = null;
  #firesAt: Instant = Infinity;
  #away: Timer | null = null;
  #isClosed = false;
  #calledAt: Instant = -Infinity;
  /** Counts exchanges: the answer to one that was given up is ignored. */
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

  /** Resolves after the first exchange, or when it is not to be had now. */
  start(): Promise<void> {
    const { clock } = this.#options;
    this.#isStarted = true;
    return new Promise((resolve) => {
      const timer = clock.schedule(FIRST_MS, () => {
        if (!this.#isLinked) this.#detach();
        this.#settleFirst();
      });
      this.#whenFirst = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  /** The store's connection stands, or is lost. */
  linked(isConnected: boolean): void {
    this.#isConnected = isConnected;
    if (isConnected) return this.#schedule(0);
    this.#round++;
    this.#sentAt = null;
    this.#away?.cancel();
    this.#timer?.cancel();
    this.#firesAt = Infinity;
    this.#detach();
  }

  /** A new limit. It is asked for at once. */
  add(lease: Leasable): void {
    const replaced = this.#known.get(lease.id);
    this.#known.set(lease.id, { lease, isShort: true, isLeaving: false, askedAt: -Infinity, gaveAt: -Infinity, hasLacked: false });
    if (replaced !== undefined) this.#retire(replaced.lease);
    // Before the start there is nobody to share with yet, and nothing to start.
    if (!this.#isStarted || this.#whenFirst !== null) return;
    if (this.#isLinked) this.#schedule(0);
    else lease.detach(this.#options.clock.now(), this.#count);
  }

  /** Nothing is limited by it any more: the next exchange gives its part back. */
  remove(id: string): void {
    const known = this.#known.get(id);
    if (known === undefined) return;
    known.isLeaving = true;
    this.#schedule(0);
  }

  /** Somebody asks in vain. */
  short(id: string): void {
    const known = this.#known.get(id);
    if (known === undefined || known.isShort) return;
    known.isShort = true;
    this.#schedule(known.askedAt + SHORT_MS - this.#options.clock.now());
  }

  /** Another member waits for what this one may have too much of. */
  called(ids: readonly string[]): void {
    let isOurs = false;
    for (const id of ids) {
      const known = this.#known.get(id);
      if (known === undefined) continue;
      isOurs = true;
      known.isShort = true;
    }
    if (!isOurs) return;
    const now = this.#options.clock.now();
    if (this.#calledAt > now) return; // it will be followed then
    this.#calledAt = Math.max(now, this.#calledAt + CALLED_MS);
    this.#schedule(this.#calledAt - now);
  }

  async leave(): Promise<void> {
    this.#isClosed = true;
    this.#round++;
    this.#timer?.cancel();
    this.#away?.cancel();
    this.#settleFirst();
    const now = this.#options.clock.now();
    await this.#options.shared.leave([...this.#known.values()].slice(0, CLAIMS_MAX).map(({ lease }) => lease.leave(now)));
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
    const sent: Known[] = [];
    const claims: LeaseClaim[] = [];
    for (const known of this.#known.values()) {
      if (claims.length === CLAIMS_MAX) break;
      const claim = known.isLeaving ? this.#retire(known.lease) : known.lease.claim(now, this.#members.length);
      if (claim === null) continue;
      claims.push(claim);
      sent.push(known);
      if (known.isShort) known.askedAt = now;
      known.isShort = false;
    }
    for (const known of sent) {
      // Those behind come first in the next one.
      this.#known.delete(known.lease.id);
      if (!known.isLeaving) this.#known.set(known.lease.id, known);
    }
    const round = ++this.#round;
    this.#sentAt = this.#lastAt = now;
    this.exchanges++;
    this.#away?.cancel();
    this.#away = clock.schedule(AWAY_MS, () => {
      this.#detach();
      this.#away = clock.schedule(GIVE_UP_MS, () => this.#giveUp());
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

  #take({ members, grants }: ExchangeReply, sent: readonly Known[], hasMore: boolean): void {
    const now = this.#options.clock.now();
    const tookMs = now - this.#sentAt!;
    this.#sentAt = null;
    this.#away?.cancel();
    const isNews = !this.#isLinked || members.length !== this.#members.length;
    // How much to keep depends on how many there are.
    if (members.length > this.#members.length && this.#members.length > 0) hasMore = true;
    this.#members = members;
    this.#isLinked = true;
    let isMore = false;
    let nextMs = hasMore ? 0 : BEAT_MS;
    grants.forEach((grant, i) => {
      if (sent[i]!.isLeaving) return;
      if (sent[i]!.lease.granted(now, grant)) isMore = true;
      nextMs = Math.min(nextMs, nextAfter(grant, sent[i]!, now));
    });
    this.#settleFirst();
    this.#schedule(Math.max(0, nextMs - tookMs));
    if (isNews) this.#options.onFleet?.(this.status);
    if (isMore) this.#options.onGranted();
  }

  #failed(): void {
    this.#sentAt = null;
    this.#away?.cancel();
    this.#detach();
    this.#schedule(BEAT_MS);
  }

  #giveUp(): void {
    this.#round++;
    this.#sentAt = null;
    this.#schedule(0);
  }

  /** Its part is given back. Requests that are queued for it still go on with this instance's share. */
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
    for (const { lease } of this.#known.values()) lease.detach(now, members);
    const wasLinked = this.#isLinked;
    this.#isLinked = false;
    if (wasLinked) this.#options.onFleet?.(this.status);
    this.#options.onGranted();
  }
}

function nextAfter(grant: LeaseGrant, known: Known, now: Instant): number {
  const { isContested, capacity, rate, fairCapacity, fairRate, lacks, readyInMs } = grant;
  const hasLacked = known.hasLacked;
  known.hasLacked = lacks;
  const isTooMuch = isContested && (capacity > fairCapacity * TOO_MUCH || rate > fairRate * TOO_MUCH);
  if (isTooMuch && now - known.gaveAt >= BEAT_MS) {
    known.gaveAt = now;
    return TOO_MUCH_MS;
  }
  if (readyInMs >= 0) return readyInMs + 1;
  if (lacks && !hasLacked) return LACKED_MS;
  return lacks || known.isShort ? SHORT_MS : BEAT_MS;
}
