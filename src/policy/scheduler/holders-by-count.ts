/** Holders ordered by the number of items that they hold; a change by one takes constant time. */

/** All holders with the same count. */
export interface CountBucket<H> {
  count: number;
  first: H | null;
  lower: CountBucket<H> | null;
  higher: CountBucket<H> | null;
}

export interface CountedHolder<H> {
  /** Null: it holds nothing. */
  bucket: CountBucket<H> | null;
  /** Its neighbours in the bucket. */
  before: H | null;
  after: H | null;
}

export class HoldersByCount<H extends CountedHolder<H>> {
  #top: CountBucket<H> | null = null;
  #bottom: CountBucket<H> | null = null;

  /** A holder with the highest count. */
  get largest(): H | null {
    return this.#top?.first ?? null;
  }

  get most(): number {
    return this.#top?.count ?? 0;
  }

  /** Increments the holder's count. */
  add(holder: H): void {
    const { bucket } = holder;
    const higher = bucket === null ? this.#bottom : bucket.higher;
    const count = (bucket?.count ?? 0) + 1;
    if (higher?.count === count) return this.#move(holder, higher);
    if (bucket !== null && isAlone(holder)) bucket.count = count;
    else this.#move(holder, this.#insert(count, bucket, higher));
  }

  /** Decrements the holder's count; false: it holds nothing now. */
  remove(holder: H): boolean {
    const bucket = holder.bucket!;
    const count = bucket.count - 1;
    if (count === 0) {
      this.#move(holder, null);
      return false;
    }
    const { lower } = bucket;
    if (lower?.count === count) this.#move(holder, lower);
    else if (isAlone(holder)) bucket.count = count;
    else this.#move(holder, this.#insert(count, lower, bucket));
    return true;
  }

  #insert(count: number, lower: CountBucket<H> | null, higher: CountBucket<H> | null): CountBucket<H> {
    const made: CountBucket<H> = { count, first: null, lower, higher };
    if (lower === null) this.#bottom = made;
    else lower.higher = made;
    if (higher === null) this.#top = made;
    else higher.lower = made;
    return made;
  }

  #move(holder: H, to: CountBucket<H> | null): void {
    const from = holder.bucket;
    if (from !== null) this.#take(holder, from);
    holder.bucket = to;
    if (to === null) return;
    holder.after = to.first;
    if (to.first !== null) to.first.before = holder;
    to.first = holder;
  }

  #take(holder: H, from: CountBucket<H>): void {
    const { before, after } = holder;
    if (before === null) from.first = after;
    else before.after = after;
    if (after !== null) after.before = before;
    holder.before = holder.after = null;
    if (from.first !== null) return;
    if (from.lower === null) this.#bottom = from.higher;
    else from.lower.higher = from.higher;
    if (from.higher === null) this.#top = from.lower;
    else from.higher.lower = from.lower;
  }
}

function isAlone<H extends CountedHolder<H>>({ before, after }: H): boolean {
  return before === null && after === null;
}
