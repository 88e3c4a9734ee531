/**
 * How the sessions of one client share a resource: start-time fair queueing by used tokens, as between clients, so that a session with a
 * hundred sub-agents does not block the others. Requests without a session form one session.
 */
/** Remembered sessions without waiting requests; beyond this those at or below the virtual time are dropped first. */
const ABSENT_MAX = 256;
/** A side task is ordered behind the main requests of its session, by less than any request uses. */
const SIDE = 0.5;

export interface SessionAccount<S> {
  /** The amount it has used so far; the smallest goes first. */
  virtualTime: number;
  /** The amount that its waiting requests will take. */
  backlog: number;
  /** The number of its waiting requests in `backlog`. */
  waiting: number;
  /** Its positions in the queue. */
  readonly positions: S[];
}

export class SessionAccounts<S> {
  /** The account of requests without a session, the only one of most clients. */
  readonly #unnamed: SessionAccount<S> = { virtualTime: 0, backlog: 0, waiting: 0, positions: [] };
  #named: Map<string, SessionAccount<S>> | null = null;
  #virtualTime = 0;
  #dropsAt = ABSENT_MAX;
  /** The number of sessions with waiting requests. */
  waiting = 0;

  of(session: string): SessionAccount<S> {
    if (session === '') return this.#unnamed;
    const named = (this.#named ??= new Map());
    let account = named.get(session);
    if (account === undefined) {
      if (named.size >= this.#dropsAt) this.#dropAbsent(named);
      account = { virtualTime: this.#virtualTime, backlog: 0, waiting: 0, positions: [] };
      named.set(session, account);
    }
    return account;
  }

  #find(session: string): SessionAccount<S> | undefined {
    return session === '' ? this.#unnamed : this.#named?.get(session);
  }

  /** The virtual time of a session that joins the queue now. */
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
   * The most of its client's backlog that goes before a request for `amount`, where sessions share fairly; Infinity: unbounded, because its
   * session already waits for its fair share.
   */
  ahead(session: string, amount: number, backlog: number): number {
    const account = this.#find(session);
    const others = this.waiting - (account !== undefined && account.waiting > 0 ? 1 : 0);
    const own = (account?.backlog ?? 0) + amount;
    return others === 0 || own > (backlog + amount) / (others + 1) ? Infinity : (others + 1) * own - amount;
  }

  /** A session gains no credit while it is absent. */
  #current(account: SessionAccount<S>): number {
    return account.positions.length > 0 ? account.virtualTime : Math.max(account.virtualTime, this.#virtualTime);
  }

  #dropAbsent(named: Map<string, SessionAccount<S>>): void {
    const absent = [...named].filter(([, { waiting, positions }]) => waiting === 0 && positions.length === 0);
    const owing = absent.filter(([, { virtualTime }]) => virtualTime > this.#virtualTime);
    const kept = new Set(owing.slice(-ABSENT_MAX / 2));
    for (const entry of absent) if (!kept.has(entry)) named.delete(entry[0]);
    this.#dropsAt = ABSENT_MAX + 2 * named.size;
  }
}

/** The key that orders the groups of one client, before their deadlines. */
export function timeWithSide(virtualTime: number, isSide: boolean): number {
  return isSide ? virtualTime + SIDE : virtualTime;
}
