/**
 * How the sessions of one client share a resource: what each has used of it, in tokens (start-time fair queueing, as between clients).
 * The session that has used least goes first, so that one with a hundred sub-agents does not hold up the others. Requests that
 * name no session are one session.
 */
/** So many sessions that wait for nothing are remembered; beyond it those that owe nothing are forgotten, then any. */
const ABSENT_MAX = 256;
/** A side task stands behind the main requests of its session by less than any request uses. */
const SIDE = 0.5;

export interface SessionAccount<S> {
  /** What it has used so far: the least goes first. */
  virtualTime: number;
  /** What those of it who wait are counted on to take. */
  backlog: number;
  /** How many of them are counted. */
  waiting: number;
  /** Its queues that stand in the line. */
  readonly positions: S[];
}

export class SessionAccounts<S> {
  /** The account of requests without a session; most clients have no other. */
  readonly #unnamed: SessionAccount<S> = { virtualTime: 0, backlog: 0, waiting: 0, positions: [] };
  #named: Map<string, SessionAccount<S>> | null = null;
  #virtualTime = 0;
  #forgetsAt = ABSENT_MAX;
  /** Sessions that wait for something. */
  waiting = 0;

  of(session: string): SessionAccount<S> {
    if (session === '') return this.#unnamed;
    const named = (this.#named ??= new Map());
    let account = named.get(session);
    if (account === undefined) {
      if (named.size >= this.#forgetsAt) this.#forget(named);
      account = { virtualTime: this.#virtualTime, backlog: 0, waiting: 0, positions: [] };
      named.set(session, account);
    }
    return account;
  }

  #find(session: string): SessionAccount<S> | undefined {
    return session === '' ? this.#unnamed : this.#named?.get(session);
  }

  /** What a session is ordered by that comes to the line now. */
  timeOf(session: string): number {
    const account = this.#find(session);
    return account === undefined ? this.#virtualTime : this.#current(account);
  }

  enter(account: SessionAccount<S>, position: S): void {
    account.virtualTime = this.#current(account);
    account.positions.push(position);
  }

  leave(account: SessionAccount<S>, position: S): void {
    account.positions.splice(account.positions.indexOf(position), 1);
  }

  use(account: SessionAccount<S>, tokens: number): void {
    account.virtualTime = this.#current(account);
    this.#virtualTime = Math.max(this.#virtualTime, account.virtualTime);
    account.virtualTime += Math.max(1, tokens);
  }

  addToBacklog(account: SessionAccount<S>, amount: number, sign: 1 | -1): void {
    account.waiting += sign;
    if (account.waiting === (sign === 1 ? 1 : 0)) this.waiting += sign;
    account.backlog = account.waiting === 0 ? 0 : Math.max(0, account.backlog + sign * amount);
  }

  /**
   * At most so much of its client goes before a request for `amount`, by how the sessions share what is `promised` to the client;
   * Infinity: that says nothing, because its session waits for its fair share already.
   */
  ahead(session: string, amount: number, backlog: number): number {
    const account = this.#find(session);
    const others = this.waiting - (account !== undefined && account.waiting > 0 ? 1 : 0);
    const own = (account?.backlog ?? 0) + amount;
    return others === 0 || own > (backlog + amount) / (others + 1) ? Infinity : (others + 1) * own - amount;
  }

  /** What went by while it was absent is not owed to it. */
  #current(account: SessionAccount<S>): number {
    return account.positions.length > 0 ? account.virtualTime : Math.max(account.virtualTime, this.#virtualTime);
  }

  #forget(named: Map<string, SessionAccount<S>>): void {
    const absent = [...named].filter(([, { waiting, positions }]) => waiting === 0 && positions.length === 0);
    const owing = absent.filter(([, { virtualTime }]) => virtualTime > this.#virtualTime);
    const kept = new Set(owing.slice(-ABSENT_MAX / 2));
    for (const entry of absent) if (!kept.has(entry)) named.delete(entry[0]);
    this.#forgetsAt = ABSENT_MAX + 2 * named.size;
  }
}

/** What a queue is ordered by among those of its client; then by its deadline. */
export function timeWithSide(virtualTime: number, isSide: boolean): number {
  return isSide ? virtualTime + SIDE : virtualTime;
}
