/**
 * The backlog of one class on one resource: what its waiting requests will take. Used to decide whether a new request can start in time.
 *
 * That depends on how much is ahead of the new request, and on whether it would make waiting requests late. Both must be estimated without
 * iterating over those. So amounts are summed by deadline, in buckets of 250 ms, and the backlogs of clients are counted by size, in powers
 * of two. Where these sums are too coarse, the lower bound is used. Amounts that cannot be served by their deadline do not count, because
 * those requests will expire.
 *
 * Requests that cannot start in time are thus refused at once. Measured at three times the capacity: 3 % of requests are queued and then
 * expire with this, 64 % without. The counts of clients keep a client below its fair share from being refused because of more urgent
 * requests of another client (`shares.test.ts`).
 */
import type { Instant } from '../../core/clock.ts';
import type { Supply } from './supply.ts';

/** The width of a bucket, in milliseconds. */
const BUCKET_MS = 250;
/** Later deadlines than this many buckets from now (17 minutes) share the last one. */
const BUCKETS_MAX = 4096;
const BUCKETS_MIN = 64;
const BLOCK = 64;
const SIZES = 40;
/** Where higher classes may take more than estimated, a new request must leave this many times its own need for those ahead of it. */
const MARGIN = 2;

/** The bucket of a deadline; stored with the request, so that it is removed from where it was added. */
export function bucketOf(now: Instant, deadline: Instant): number {
  return Math.floor(Math.max(now, Math.min(deadline, now + (BUCKETS_MAX - 2) * BUCKET_MS)) / BUCKET_MS);
}

/** Sums of amounts by deadline, in a ring that grows with the range of the deadlines. */
class DeadlineSums {
  #size = BUCKETS_MIN;
  #sums = new Float64Array(BUCKETS_MIN);
  #blocks = new Float64Array(BUCKETS_MIN / BLOCK);
  #latest = new Float64Array(BUCKETS_MIN).fill(-Infinity);
  #counts = new Int32Array(BUCKETS_MIN);
  /** Past growths of the ring, which moved the overdue buckets. */
  readonly #grown: { readonly nowBucket: number; readonly size: number }[] = [];

  add(nowBucket: number, bucket: number, deadline: Instant, amount: number, sign: 1 | -1): void {
    if (sign === 1 && bucket - nowBucket >= this.#size) this.#grow(nowBucket, bucket);
    const slot = this.#slotOf(bucket);
    this.#counts[slot]! += sign;
    if (sign === 1) this.#latest[slot] = Math.max(this.#latest[slot]!, deadline);
    else if (this.#counts[slot] === 0) this.#latest[slot] = -Infinity;
    // Sums of floats: an empty bucket is set to exactly zero.
    const change = this.#counts[slot] === 0 ? -this.#sums[slot]! : sign * amount;
    this.#sums[slot]! += change;
    this.#blocks[Math.floor(slot / BLOCK)]! += change;
  }

  /** The amount that is due before `deadline` and can be served by then, at the resolution of the buckets. */
  before(nowBucket: number, bucket: number, deadline: Instant, supply: Supply): number {
    const mask = this.#size - 1;
    const end = deadline >= this.#latest[bucket & mask]! ? bucket + 1 : bucket;
    const last = Math.min(end, nowBucket + this.#size);
    let sum = 0;
    for (let at = nowBucket; at < last;) {
      const slot = at & mask;
      const block = slot % BLOCK === 0 && at + BLOCK <= last ? this.#blocks[slot / BLOCK]! : -1;
      if (block >= 0 && (block <= 0 || sum + block <= supply.by(at * BUCKET_MS))) {
        sum += block;
        at += BLOCK;
        continue;
      }
      if (this.#counts[slot]! > 0) sum = Math.max(sum, Math.min(sum + this.#sums[slot]!, supply.by(this.#latest[slot]!)));
      at++;
    }
    return sum;
  }

  /**
   * When one more request can take `amount` without making another one late; `before` is the amount due before it. If the result is after
   * its deadline: the earliest fitting start with a later deadline.
   */
  fit(nowBucket: number, bucket: number, deadline: Instant, before: number, amount: number, supply: Supply): Instant {
    const mask = this.#size - 1;
    const margin = supply.isSure ? 0 : MARGIN * amount;
    /** The amount served up to the current bucket: without the new request, and with it at its current place. */
    let without = before;
    let within = before + amount;
    let at = supply.when(within);
    const first = deadline >= this.#latest[bucket & mask]! ? bucket + 1 : bucket;
    for (let each = Math.max(first, nowBucket); each < nowBucket + this.#size; each++) {
      const slot = each & mask;
      if (slot % BLOCK === 0 && this.#blocks[slot / BLOCK]! <= 0) {
        each += BLOCK - 1;
        continue;
      }
      if (this.#counts[slot]! === 0) continue;
      const sum = this.#sums[slot]!;
      const supplied = supply.by(this.#latest[slot]!);
      if (within + sum + margin > supplied && (without + sum <= supplied || within > supplied)) {
        without = Math.max(without, Math.min(without + sum, supplied));
        within = without + amount;
        at = Math.max(this.#latest[slot]!, supply.when(within));
      } else {
        without = Math.max(without, Math.min(without + sum, supplied));
        within = Math.max(within, Math.min(within + sum, supplied));
      }
    }
    return at;
  }

  #slotOf(bucket: number): number {
    let moved = bucket;
    for (const { nowBucket, size } of this.#grown) if (moved < nowBucket) moved += Math.ceil((nowBucket - moved) / size) * size;
    return moved & (this.#size - 1);
  }

  #grow(nowBucket: number, bucket: number): void {
    const [sums, latest, counts, size] = [this.#sums, this.#latest, this.#counts, this.#size];
    while (bucket - nowBucket >= this.#size && this.#size < BUCKETS_MAX) this.#size *= 2;
    this.#sums = new Float64Array(this.#size);
    this.#blocks = new Float64Array(this.#size / BLOCK);
    this.#latest = new Float64Array(this.#size).fill(-Infinity);
    this.#counts = new Int32Array(this.#size);
    this.#grown.push({ nowBucket, size });
    for (let at = nowBucket; at < nowBucket + size; at++) {
      const [from, to] = [at & (size - 1), at & (this.#size - 1)];
      this.#sums[to] = sums[from]!;
      this.#blocks[Math.floor(to / BLOCK)]! += sums[from]!;
      this.#latest[to] = latest[from]!;
      this.#counts[to] = counts[from]!;
    }
  }
}

/** The total of a client's waiting requests in one class. */
export interface ClientBacklog {
  backlog: number;
}

export class Backlog {
  total = 0;
  #count = 0;
  readonly #sums = new DeadlineSums();
  /** Clients by the size of their backlog: their number, and their total. */
  readonly #clients = new Float64Array(SIZES);
  readonly #weights = new Float64Array(SIZES);
  #clientCount = 0;

  add(now: Instant, bucket: number, deadline: Instant, amount: number, client: ClientBacklog, sign: 1 | -1): void {
    this.#sums.add(Math.floor(now / BUCKET_MS), bucket, deadline, amount, sign);
    this.#count += sign;
    this.total = this.#count === 0 ? 0 : this.total + sign * amount;
    this.#note(client.backlog, -1);
    client.backlog = Math.max(0, client.backlog + sign * amount);
    this.#note(client.backlog, 1);
  }

  /**
   * When a new request can take `amount`: at the earliest after what is ahead of it in its class, and without making others late. Ahead of
   * it are the earlier deadlines of its own client, and of every other client as much as its own client gets by then. A client below its
   * fair share may make clients above theirs late. With a single client the same applies to its sessions: `ahead` is the most of the
   * backlog that goes before the request.
   */
  when(now: Instant, deadline: Instant, amount: number, backlog: number, supply: Supply, ahead = Infinity): Instant {
    if (this.#count === 0) return supply.when(amount);
    const bucket = bucketOf(now, deadline);
    const nowBucket = Math.floor(now / BUCKET_MS);
    const isSole = backlog >= this.total * (1 - 1e-9);
    const isBelowFairShare = !isSole && backlog + amount <= this.total / this.#clientCount;
    const due = this.#sums.before(nowBucket, bucket, deadline, supply);
    if (isSole || !isBelowFairShare) {
      if (this.total + (1 + MARGIN) * amount <= supply.by(deadline)) return supply.when(due + amount);
      if (isSole && ahead < Infinity) return supply.when(Math.min(due, ahead) + amount);
      if (isSole) return this.#sums.fit(nowBucket, bucket, deadline, due, amount, supply);
    }
    const own = Math.min(ahead, Math.max(0, due - (this.total - backlog)));
    const share = Math.min(1, (own + this.#othersUpTo(own, backlog)) / this.total);
    const at = supply.when(this.total * share + amount);
    return isBelowFairShare ? at : Math.max(at, this.#sums.fit(nowBucket, bucket, deadline, due, amount, supply));
  }

  /** A lower bound of the sum of all other clients' backlogs, each counted up to `limit`. */
  #othersUpTo(limit: number, backlog: number): number {
    if (limit <= 0) return 0;
    const ownSize = sizeOf(backlog);
    let sum = 0;
    for (let size = 0; size < SIZES; size++) {
      const clients = this.#clients[size]! - (size === ownSize && backlog > 0 ? 1 : 0);
      if (clients <= 0) continue;
      const weight = this.#weights[size]! - (size === ownSize ? backlog : 0);
      sum += size < sizeOf(limit) ? weight : clients * Math.min(limit, 2 ** (size - 1));
    }
    return sum;
  }

  #note(backlog: number, sign: 1 | -1): void {
    if (backlog <= 0) return;
    const size = sizeOf(backlog);
    this.#clients[size]! += sign;
    this.#clientCount += sign;
    this.#weights[size]! += sign * backlog;
  }
}

/** Size n covers 2 ** (n - 1) up to, but not including, 2 ** n. */
function sizeOf(weight: number): number {
  return weight < 1 ? 0 : Math.min(SIZES - 1, 1 + Math.floor(Math.log2(weight)));
}
