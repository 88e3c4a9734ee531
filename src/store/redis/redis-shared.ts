/**
 * The fleet's connections to Redis or Valkey, one for exchanges and one for messages, separate from the state's, so that neither waits for
 * a large batch. If either fails, both are replaced.
 */
import type { Clock, Timer } from '../../core/clock.ts';
import type { LeaseClaim, LeaseGrant, LeaseSpending } from '../../core/lease.ts';
import { StoreFailure, toStoreFailure, withTimeout } from '../backend.ts';
import { MEMBER_SILENCE_MS, type ExchangeReply, type SharedFault, type SharedStore, type SharedStoreListener } from '../shared-store.ts';
import { channelOf, type RedisAddress } from './address.ts';
import { EXCHANGE_SCRIPT } from './lease-script.ts';
import { connectRedis, type RedisArgument, type RedisClient } from './redis-client.ts';
import { OPEN_SCRIPT } from './state-scripts.ts';

const CONNECT_TIMEOUT_MS = 2_000;
/** Timeout of an exchange. */
const EXCHANGE_TIMEOUT_MS = 3_000;
const LEAVE_TIMEOUT_MS = 500;
/** Delay between attempts to connect. */
const RETRY_MS = 500;
/** Delay between attempts to get messages through on a connection whose user lacks the rights for them. */
const DENIED_AGAIN_MS = 1_000;
/** Maximum number of unsent messages; further ones are dropped. */
const MESSAGES_MAX = 1_000;

interface Link {
  readonly commands: RedisClient;
  readonly messages: RedisClient;
  /** Why messages fail, although exchanges work; null: they do not. */
  readonly denied: StoreFailure | null;
}

export function createRedisShared(address: RedisAddress, clock: Clock): SharedStore {
  return new RedisShared(address, clock);
}

class RedisShared implements SharedStore {
  readonly #address: RedisAddress;
  readonly #clock: Clock;
  readonly #tag: string;
  member: string | null = null;
  fault: SharedFault | null = null;
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
      this.#note(failure);
      this.#onConnectionLost(link);
      throw failure;
    }
  }

  publish(text: string): void {
    const link = this.#link;
    if (link === null || link.denied !== null || this.#publishing >= MESSAGES_MAX) return;
    this.#publishing++;
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
    return channelOf(this.#address);
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
        this.#note(link.denied);
        if (link.denied !== null) this.#awaitRights(link);
        this.#listener?.linked(true);
      },
      (error: unknown) => {
        if (attempt === this.#attempt) this.#note(toStoreFailure(error));
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
    messages.onMessage(this.#channel, (text) => this.#take(text));
    return { commands, messages, denied: await this.#tryMessages({ commands, messages }) };
  }

  /** Subscribes, and sends an empty message. Returns why the user may not do so; null: it may. */
  async #tryMessages({ commands, messages }: Pick<Link, 'commands' | 'messages'>): Promise<StoreFailure | null> {
    try {
      await messages.subscribe(this.#channel);
      await commands.call('PUBLISH', this.#channel, `${this.member}\n`);
      return null;
    } catch (error) {
      const failure = toStoreFailure(error);
      if (!/\bNOPERM\b/.test(failure.message)) throw failure;
      const words = `instances can not exchange messages: the user needs the right to SUBSCRIBE and PUBLISH on the channel ${this.#channel}`;
      return new StoreFailure(failure.fault, `${words} (${failure.message.replace(/\.+$/, '')})`, { cause: error });
    }
  }

  /** Once messages get through, the connection is replaced, so that everything that was not sent is. */
  #awaitRights(link: Link): void {
    this.#timer = this.#clock.schedule(DENIED_AGAIN_MS, () => {
      if (link !== this.#link) return;
      this.#tryMessages(link).then(
        (denied) => (denied === null ? this.#onConnectionLost(link) : link === this.#link && this.#awaitRights(link)),
        () => this.#onConnectionLost(link),
      );
    });
  }

  #note(failure: StoreFailure | null): void {
    this.fault = failure && { message: failure.message, sinceMs: this.fault?.sinceMs ?? this.#clock.epochMs() };
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
  const { wantCapacity, wantRate, wantTokens, first, rank, hasStarted, countedMs, uncounted, usage, spending } = claim;
  const held = [capacity, rate, epoch, poolLevel, heldCapacity, heldRate, level, returned, debt];
  const { spent, reserved, acknowledged, elsewhere } = spending ?? NO_BUDGET;
  const wanted = [wantCapacity, wantRate, wantTokens, first, rank, hasStarted ? 1 : 0, countedMs, uncounted];
  return [...held, ...wanted, spent, reserved, acknowledged, elsewhere, usage.join(' ')];
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
