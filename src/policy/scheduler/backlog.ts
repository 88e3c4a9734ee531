/**
 * What one class of those who wait has been promised of one resource: the backlog that a newcomer is judged by.
 *
 * A newcomer has to know how much is taken before it, and whether its coming would break a promise, without looking at everybody.
 * Amounts are therefore summed by deadline, in buckets of a quarter of a second, and by how much each client waits for, in powers of
 * two. What can't be told apart counts as nothing. Nor does what can't be had by its deadline: it ends then, in vain.
 */
import type { Instant } from '../../core/clock.ts';
import type { Supply } from './supply.ts';

/** Deadlines nearer to each other than this are told apart only by the latest of them, in milliseconds. */
const BUCKET_MS = 250;
/** Deadlines further away than so many buckets (17 minutes) count as one. */
const BUCKETS_MAX = 4096;
const BUCKETS_MIN = 64;
const BLOCK = 64;
const SIZES = 40;
/** Where higher classes may take more than is reckoned, a newcomer leaves so many times its own need to those before it. */
const LEEWAY = 2;

/** The bucket of a deadline: kept with whoever waits, so that it is taken out where it was put in. */
export function bucketOf(now: Instant, deadline: Instant): number {
  return Math.floor(Math.max(now, Math.min(deadline, now + (BUCKETS_MAX - 2) * BUCKET_MS)) / BUCKET_MS);
}

/** By deadline, how much; a ring that grows with the span of the deadlines. */
class DeadlineSums {
  #size = BUCKETS_MIN;
  #sums = new Float64Array(BUCKETS_MIN);
  #blocks = new Float64Array(BUCKETS_MIN / BLOCK);
  #latest = new Float64Array(BUCKETS_MIN).fill(-Infinity);
  #counts = new Int32Array(BUCKETS_MIN);
  /** When the ring was made larger: what was overdue then has moved. */
  readonly #grown: { readonly nowBucket: number; readonly size: number }[] = [];

  add(nowBucket: number, bucket: number, deadline: Instant, amount: number, sign: 1 | -1): void {
    if (sign === 1 && bucket - nowBucket >= this.#size) this.#grow(nowBucket, bucket);
    const slot = this.#slotOf(bucket);
    this.#counts[slot]! += sign;
    if (sign === 1) this.#latest[slot] = Math.max(this.#latest[slot]!, deadline);
    else if (this.#counts[slot] === 0) this.#latest[slot] = -Infinity;
    // Sums of floats: what nobody waits for is nothing.
    const change = this.#counts[slot] === 0 ? -this.#sums[slot]! : sign * amount;
    this.#sums[slot]! += change;
    this.#blocks[Math.floor(slot / BLOCK)]! += change;
  }

  /** All that is due before `deadline` and can be had by then, as far as the buckets can tell. */
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
   * When one more can have `amount` without breaking a promise: `before` it what is due before it. Later than its deadline: the
   * soonest with a deadline that would do.
   */
  fit(nowBucket: number, bucket: number, deadline: Instant, before: number, amount: number, supply: Supply): Instant {
    const mask = this.#size - 1;
    const leeway = supply.isSure ? 0 : LEEWAY * amount;
    /** What is taken up to here: without the newcomer, and with it where it goes now. */
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
      if (within + sum + leeway > supplied && (without + sum <= supplied || within > supplied)) {
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

/** How much one client of a class has been promised. */
export interface ClientBacklog {
  backlog: number;
}

export class Backlog {
  total = 0;
  #count = 0;
  readonly #sums = new DeadlineSums();
  /** Clients by the size of what they wait for: how many, and how much together. */
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
   * When a newcomer can have `amount`, by what it would find: what of this class goes before it, at least, and where it may not
   * push others beyond their deadlines. Its own client's earlier deadlines go before it, and of every other client as much as its
   * own gets by then. A client that waits for less than its fair share breaks whatever promises were made to those with more; so does, where
   * there is but one client, a session of it before which no more than `ahead` goes.
   */
  when(now: Instant, deadline: Instant, amount: number, backlog: number, supply: Supply, ahead = Infinity): Instant {
    if (this.#count === 0) return supply.when(amount);
    const bucket = bucketOf(now, deadline);
    const nowBucket = Math.floor(now / BUCKET_MS);
    const isSole = backlog >= this.total * (1 - 1e-9);
    const isBelowFairShare = !isSole && backlog + amount <= this.total / this.#clientCount;
    const due = this.#sums.before(nowBucket, bucket, deadline, supply);
    if (isSole || !isBelowFairShare) {
      if (this.total + (1 + LEEWAY) * amount <= supply.by(deadline)) return supply.when(due + amount);
      if (isSole && ahead < Infinity) return supply.when(Math.min(due, ahead) + amount);
      if (isSole) return this.#sums.fit(nowBucket, bucket, deadline, due, amount, supply);
    }
    const own = Math.min(ahead, Math.max(0, due - (this.total - backlog)));
    const share = Math.min(1, (own + this.#othersUpTo(own, backlog)) / this.total);
    const at = supply.when(this.total * share + amount);
    return isBelowFairShare ? at : Math.max(at, this.#sums.fit(nowBucket, bucket, deadline, due, amount, supply));
  }

  /** At least the sum over all other clients of what each has waiting, but of none more than `limit`. */
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

/** Size n holds from 2 ** (n - 1) to below 2 ** n. */
function sizeOf(weight: number): number {
  return weight < 1 ? 0 : Math.min(SIZES - 1, 1 + Math.floor(Math.log2(weight)));
}
