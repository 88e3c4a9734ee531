/**
 * What one class of those who wait has been promised of one resource: the backlog that a newcomer is judged by.
 *
 * A newcomer has to know how much is taken before it, without looking at everybody. Sums are therefore kept by deadline, in
 * buckets of a quarter of a second, and by how much each client waits for, in powers of two. What can't be told apart counts as
 * nothing: a newcomer may be told to wait for what it will not get, but nobody is refused who would have started.
 */
import type { Instant } from '../../core/clock.ts';
import type { Need } from '../../core/resource.ts';

/** Deadlines nearer to each other than this are told apart only by the latest of them, in milliseconds. */
const BUCKET_MS = 250;
/** Deadlines further away than so many buckets (17 minutes) count as one. */
const BUCKETS_MAX = 4096;
const BUCKETS_MIN = 64;
const BLOCK = 64;
const FIELDS = 3;
const SIZES = 40;

/** A sum of needs. */
export interface Amount extends Need {
  requests: number;
  inputTokens: number;
  outputTokens: number;
}

export function weightOf(need: Need): number {
  return need.requests + need.inputTokens + need.outputTokens;
}

/** The bucket of a deadline: kept with whoever waits, so that it is taken out where it was put in. */
export function bucketOf(now: Instant, deadline: Instant): number {
  return Math.floor(Math.max(now, Math.min(deadline, now + (BUCKETS_MAX - 2) * BUCKET_MS)) / BUCKET_MS);
}

/** By deadline, how much; a ring that grows with the span of the deadlines. */
class DeadlineSums {
  #size = BUCKETS_MIN;
  #sums = new Float64Array(BUCKETS_MIN * FIELDS);
  #blocks = new Float64Array((BUCKETS_MIN / BLOCK) * FIELDS);
  #latest = new Float64Array(BUCKETS_MIN).fill(-Infinity);
  #counts = new Int32Array(BUCKETS_MIN);

  add(nowBucket: number, bucket: number, deadline: Instant, need: Need, sign: 1 | -1): void {
    if (sign === 1 && bucket - nowBucket >= this.#size) this.#grow(nowBucket, bucket);
    const slot = bucket & (this.#size - 1);
    this.#put(slot, sign * need.requests, sign * need.inputTokens, sign * need.outputTokens);
    this.#counts[slot]! += sign;
    if (sign === 1) this.#latest[slot] = Math.max(this.#latest[slot]!, deadline);
    else if (this.#counts[slot] === 0) this.#latest[slot] = -Infinity;
  }

  /** All that is due before `deadline`, as far as the buckets can tell; written into `out`. */
  before(nowBucket: number, bucket: number, deadline: Instant, out: Amount): void {
    let [requests, input, output] = [0, 0, 0];
    const mask = this.#size - 1;
    const end = deadline >= this.#latest[bucket & mask]! ? bucket + 1 : bucket;
    const last = Math.min(end, nowBucket + this.#size);
    for (let at = nowBucket; at < last;) {
      const slot = at & mask;
      const whole = slot % BLOCK === 0 && at + BLOCK <= last;
      const sums = whole ? this.#blocks : this.#sums;
      const from = FIELDS * (whole ? slot / BLOCK : slot);
      requests += sums[from]!;
      input += sums[from + 1]!;
      output += sums[from + 2]!;
      at += whole ? BLOCK : 1;
    }
    out.requests = requests;
    out.inputTokens = input;
    out.outputTokens = output;
  }

  #put(slot: number, requests: number, input: number, output: number): void {
    const block = FIELDS * Math.floor(slot / BLOCK);
    this.#sums[FIELDS * slot]! += requests;
    this.#sums[FIELDS * slot + 1]! += input;
    this.#sums[FIELDS * slot + 2]! += output;
    this.#blocks[block]! += requests;
    this.#blocks[block + 1]! += input;
    this.#blocks[block + 2]! += output;
  }

  #grow(nowBucket: number, bucket: number): void {
    const [sums, latest, counts, size] = [this.#sums, this.#latest, this.#counts, this.#size];
    while (bucket - nowBucket >= this.#size && this.#size < BUCKETS_MAX) this.#size *= 2;
    this.#sums = new Float64Array(this.#size * FIELDS);
    this.#blocks = new Float64Array((this.#size / BLOCK) * FIELDS);
    this.#latest = new Float64Array(this.#size).fill(-Infinity);
    this.#counts = new Int32Array(this.#size);
    for (let at = nowBucket; at < nowBucket + size; at++) {
      const [from, to] = [at & (size - 1), at & (this.#size - 1)];
      this.#put(to, sums[FIELDS * from]!, sums[FIELDS * from + 1]!, sums[FIELDS * from + 2]!);
      this.#latest[to] = latest[from]!;
      this.#counts[to] = counts[from]!;
    }
  }
}

/** How much one client of a class has been promised. */
export interface ClientPromise {
  promised: number;
}

export class Promises {
  readonly total: Amount = { requests: 0, inputTokens: 0, outputTokens: 0 };
  readonly #sums = new DeadlineSums();
  /** Clients by the size of what they wait for: how many, and how much together. */
  readonly #clients = new Float64Array(SIZES);
  readonly #weights = new Float64Array(SIZES);

  add(now: Instant, bucket: number, deadline: Instant, need: Need, client: ClientPromise, sign: 1 | -1): void {
    this.#sums.add(Math.floor(now / BUCKET_MS), bucket, deadline, need, sign);
    this.total.requests += sign * need.requests;
    this.total.inputTokens += sign * need.inputTokens;
    this.total.outputTokens += sign * need.outputTokens;
    this.#count(client.promised, -1);
    client.promised = Math.max(0, client.promised + sign * weightOf(need));
    this.#count(client.promised, 1);
  }

  get isEmpty(): boolean {
    return this.total.requests <= 0;
  }

  /**
   * What of this class goes before a newcomer, at least; written into `out`. Its own client's earlier deadlines do, and of every
   * other client as much as its own client gets by then: a client that has used `ahead` more than the least may wait for that, too.
   */
  before(now: Instant, deadline: Instant, promised: number, out: Amount): void {
    const bucket = bucketOf(now, deadline);
    this.#sums.before(Math.floor(now / BUCKET_MS), bucket, deadline, out);
    const all = weightOf(this.total);
    if (promised >= all * (1 - 1e-9)) return;
    const own = Math.max(0, weightOf(out) - (all - promised));
    const share = Math.min(1, (own + this.#othersUpTo(own, promised)) / all);
    out.requests = this.total.requests * share;
    out.inputTokens = this.total.inputTokens * share;
    out.outputTokens = this.total.outputTokens * share;
  }

  /** At least the sum over all other clients of what each has waiting, but of none more than `limit`. */
  #othersUpTo(limit: number, promised: number): number {
    if (limit <= 0) return 0;
    const ownSize = sizeOf(promised);
    let sum = 0;
    for (let size = 0; size < SIZES; size++) {
      const clients = this.#clients[size]! - (size === ownSize && promised > 0 ? 1 : 0);
      if (clients <= 0) continue;
      const weight = this.#weights[size]! - (size === ownSize ? promised : 0);
      sum += size < sizeOf(limit) ? weight : clients * Math.min(limit, 2 ** (size - 1));
    }
    return sum;
  }

  #count(promised: number, sign: 1 | -1): void {
    if (promised <= 0) return;
    const size = sizeOf(promised);
    this.#clients[size]! += sign;
    this.#weights[size]! += sign * promised;
  }
}

/** Size n holds from 2 ** (n - 1) to below 2 ** n. */
function sizeOf(weight: number): number {
  return weight < 1 ? 0 : Math.min(SIZES - 1, 1 + Math.floor(Math.log2(weight)));
}
