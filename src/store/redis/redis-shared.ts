/**
 * The fleet's connections to Redis or Valkey, one for exchanges and one for messages, separate from the state's, so that neither waits for
 * a large batch. If either fails, both are replaced.
 */
import type { Clock, Timer } from '../../core/clock.ts';
import type { LeaseClaim, LeaseGrant, LeaseSpending } from '../../core/lease.ts';
import { StoreFailure, toStoreFailure, withTimeout } from '../backend.ts';
import { MEMBER_SILENCE_MS, type ExchangeReply, type SharedStore, type SharedStoreListener } from '../shared-store.ts';
import type { RedisAddress } from './address.ts';
import { EXCHANGE_SCRIPT } from './lease-script.ts';
import { connectRedis, type RedisArgument, type RedisClient } from './redis-client.ts';
import { OPEN_SCRIPT } from './state-scripts.ts';

const CONNECT_TIMEOUT_MS = 2_000;
/** Timeout of an exchange. */
const EXCHANGE_TIMEOUT_MS = 3_000;
const LEAVE_TIMEOUT_MS = 500;
/** Delay between attempts to connect. */
const RETRY_MS = 500;
/** Maximum number of unsent messages; further ones are dropped. */
const MESSAGES_MAX = 1_000;

interface Link {
  readonly commands: RedisClient;
  readonly messages: RedisClient;
}

export function createRedisShared(address: RedisAddress, clock: Clock): SharedStore {
  return new RedisShared(address, clock);
}

class RedisShared implements SharedStore {
  readonly #address: RedisAddress;
  readonly #clock: Clock;
  readonly #tag: string;
  member: string | null = null;
  #listener: SharedStoreListener | null = null;
  #link: Link | null = null;
  #timer: Timer | null = null;
  #attempt = 0;
  #publishing = 0;
  #isClosed = false;

  constructor(address: RedisAddress, clock: Clock) {
    this.#address = address;
    this.#clock = clock;
    this.#tag = `{${address.namespace}}`;
  }

  open(listener: SharedStoreListener): void {
    this.#listener = listener;
    this.#connect();
  }

  async exchange(claims: readonly LeaseClaim[]): Promise<ExchangeReply> {
    const link = this.#link;
    if (link === null) throw new StoreFailure('unavailable', 'there is no connection');
    try {
      return await withTimeout(this.#clock, EXCHANGE_TIMEOUT_MS, 'an exchange', this.#run(link, claims, false));
    } catch (error) {
      const failure = toStoreFailure(error);
      this.#onConnectionLost(link);
      throw failure;
    }
  }

  publish(text: string): void {
    if (this.#link === null || this.#publishing >= MESSAGES_MAX) return;
    this.#publishing++;
    const link = this.#link;
    void link.commands
      .call('PUBLISH', this.#channel, `${this.member}\n${text}`)
      .catch(() => this.#onConnectionLost(link))
      .finally(() => this.#publishing--);
  }

  async leave(claims: readonly LeaseClaim[]): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    const link = this.#link;
    this.#link = null;
    if (link === null) return;
    await withTimeout(this.#clock, LEAVE_TIMEOUT_MS, 'leaving', this.#run(link, claims, true)).catch(() => {});
    link.commands.destroy();
    link.messages.destroy();
  }

  get #channel(): string {
    return `${this.#tag}:messages`;
  }

  async #run({ commands }: Link, claims: readonly LeaseClaim[], leaves: boolean): Promise<ExchangeReply> {
    const keys = [`${this.#tag}:members`, ...claims.map(({ id }) => `${this.#tag}:lease:${id}`)];
    const args: RedisArgument[] = [this.member!, MEMBER_SILENCE_MS, '', this.#channel, leaves ? '1' : '0'];
    for (const claim of claims) args.push(...toArguments(claim));
    const [members, grants] = (await commands.run(EXCHANGE_SCRIPT, keys, args)) as [string[], string[]];
    return { members, grants: grants.map(toGrant) };
  }

  #connect(): void {
    if (this.#isClosed) return;
    const attempt = ++this.#attempt;
    const abandon = new AbortController();
    withTimeout(this.#clock, CONNECT_TIMEOUT_MS, 'connecting', this.#open(attempt, abandon.signal)).then(
      (link) => {
        if (attempt !== this.#attempt || this.#isClosed) return this.#drop(link);
        this.#link = link;
        this.#listener?.linked(true);
      },
      () => {
        abandon.abort();
        this.#retry(attempt);
      },
    );
  }

  /** `signal` closes connections, open or being opened. */
  async #open(attempt: number, signal: AbortSignal): Promise<Link> {
    const connect = (): Promise<RedisClient> => {
      const onLost = (): void => this.#onConnectionLost(this.#link, attempt);
      return connectRedis({ address: this.#address, connectTimeoutMs: CONNECT_TIMEOUT_MS, onLost, signal });
    };
    const commands = await connect();
    const name = String(await commands.run(OPEN_SCRIPT, [`${this.#tag}:writers`], []));
    this.member ??= name;
    const messages = await connect();
    await messages.subscribe(this.#channel, (text) => this.#take(text));
    return { commands, messages };
  }

  #take(text: string): void {
    const end = text.indexOf('\n');
    if (text.slice(0, end) !== this.member) this.#listener?.message(text.slice(end + 1));
  }

  #onConnectionLost(link: Link | null, attempt = this.#attempt): void {
    if (attempt !== this.#attempt || link !== this.#link || link === null) return;
    this.#link = null;
    this.#drop(link);
    this.#listener?.linked(false);
    this.#retry(attempt);
  }

  #drop({ commands, messages }: Link): void {
    commands.destroy();
    messages.destroy();
  }

  #retry(attempt: number): void {
    if (attempt !== this.#attempt || this.#isClosed) return;
    this.#attempt++;
    this.#timer = this.#clock.schedule(RETRY_MS, () => this.#connect());
  }
}

const NO_BUDGET: LeaseSpending = { spent: -1, reserved: 0, acknowledged: -1, elsewhere: -1 };

export function toArguments(claim: LeaseClaim): RedisArgument[] {
  const { capacity, rate, epoch, poolLevel, heldCapacity, heldRate, level, returned, debt } = claim;
  const { wantCapacity, wantRate, wantTokens, first, rank, hasStarted, countedMs, uncounted, spending } = claim;
  const held = [capacity, rate, epoch, poolLevel, heldCapacity, heldRate, level, returned, debt];
  const { spent, reserved, acknowledged, elsewhere } = spending ?? NO_BUDGET;
  const wanted = [wantCapacity, wantRate, wantTokens, first, rank, hasStarted ? 1 : 0, countedMs, uncounted];
  return [...held, ...wanted, spent, reserved, acknowledged, elsewhere];
}

export function toGrant(text: string): LeaseGrant {
  const numbers = text.split(' ').map(Number);
  const [epoch, poolLevel, capacity, rate, tokens, fairCapacity, fairRate, contested, readyInMs, lacking] = numbers as [
    ...[number, number, number, number, number, number, number, number, number, number],
  ];
  const [spent, held, lost] = numbers.slice(10) as [number, number, number];
  const [isContested, lacks] = [contested === 1, lacking === 1];
  const grant = { epoch, poolLevel, capacity, rate, tokens, fairCapacity, fairRate, isContested, readyInMs, lacks };
  return spent < 0 ? grant : { ...grant, elsewhere: { spent, held, lost } };
}
