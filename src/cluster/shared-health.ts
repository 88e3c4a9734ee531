/**
 * Shares the health of targets and credentials between instances: cooldowns, breaker states, quarantines. Changes are published immediately,
 * without waiting. The instance that found a fault probes first, and only one instance probes at a time: the others wait while it does, and
 * take over one after the other if it does not.
 *
 * Messages are lost while the store is away. Once it is back, an instance publishes all its states with their age, and asks for those of the
 * others; of two states the later one applies.
 */
import type { Clock, Instant, Timer } from '../core/clock.ts';
import { isRecord } from '../core/json.ts';
import type { BreakerRecord, CircuitBreaker } from '../policy/circuit-breaker/circuit-breaker.ts';
import type { Quarantine, QuarantineRecord } from '../policy/cooldown/quarantine.ts';
import type { Cooldown } from '../policy/cooldown/cooldown.ts';

/** Delay between the probes of successive instances, in milliseconds: long enough to learn of an earlier probe. */
const PROBE_STEP_MS = 150;
/** How long another instance's probe is waited for, in milliseconds; it is announced again while it runs. */
const PROBE_MS = 1_500;
const PROBE_AGAIN_MS = 1_000;
/** Differences below this are rounding, in milliseconds. */
const ROUNDING_MS = 200;
/** Instances that ask within this time get one reply, in milliseconds. */
const REPLY_MS = 100;
/** Maximum number of updates in one message; further ones are ignored. */
const UPDATES_MAX = 4_000;

/** Everything that determines the health of one target. Targets may share parts. */
export interface HealthSubject {
  readonly name: string;
  readonly breaker: CircuitBreaker;
  readonly cooldown: Cooldown;
  readonly overload: Cooldown;
  readonly credential: { readonly id: string; readonly quarantine: Quarantine };
}

interface Sent {
  /** Absent: it has just changed. In milliseconds; null: it is older than this process. */
  readonly ageMs?: number | null;
}

/** Breaker record `half-open`: the sender is probing. Null: healthy again; `isReset`: an isolated breaker was reset by hand. */
type HealthUpdate = Sent &
  (
    | { readonly kind: 'cooldown'; readonly id: string; readonly leftMs: number; readonly as: 'cooldown' | 'pause' }
    | { readonly kind: 'breaker'; readonly id: string; readonly record: BreakerRecord | 'half-open' | null; readonly isReset?: boolean }
    | { readonly kind: 'quarantine'; readonly id: string; readonly record: QuarantineRecord | null }
  );

export interface SharedHealthOptions {
  readonly clock: Clock;
  readonly subjects: () => Iterable<HealthSubject>;
  readonly publish: (text: string) => void;
  /** This instance and all members, in the same order on every instance. */
  readonly fleet: () => { readonly member: string | null; readonly members: readonly string[] };
  /** State was adopted from another instance. */
  readonly onAdopted: () => void;
}

/** The last state of a breaker, cooldown or credential that all instances share. */
interface SharedState {
  readonly state: string;
  readonly until: number;
}

export class SharedHealth {
  readonly #options: SharedHealthOptions;
  /** The states last published or adopted; bounded by the targets and credentials. */
  readonly #published = new Map<string, SharedState>();
  /** When each state changed, by kind and id; `hand`: when a breaker was isolated or reset by hand. Bounded as `#published`. */
  readonly #changedAt = new Map<string, Instant>();
  #replying: Timer | null = null;
  #isAdopting = false;
  /** Running while a probe of this instance runs. */
  #probing: Timer | null = null;

  constructor(options: SharedHealthOptions) {
    this.#options = options;
  }

  /** Publishes what changed in the health of the targets. */
  changed(): void {
    if (this.#isAdopting) return;
    const { clock, subjects } = this.#options;
    const now = clock.now();
    const updates: HealthUpdate[] = [];
    for (const { name, breaker, cooldown, overload, credential } of subjects()) {
      this.#noteBreaker(updates, name, breaker);
      this.#noteCooldown(updates, cooldown, now);
      this.#noteCooldown(updates, overload, now);
      this.#noteQuarantine(updates, credential.id, credential.quarantine, now);
      if (updates.length >= UPDATES_MAX) break;
    }
    this.#publish(updates);
  }

  /** The connection to the store is made: publishes all states, and asks for those of the other instances. */
  linked(): void {
    this.#publishAll(true);
  }

  stop(): void {
    this.#probing?.cancel();
    this.#replying?.cancel();
    this.#isAdopting = true;
  }

  #publishAll(wantsReply: boolean): void {
    if (this.#isAdopting) return;
    const now = this.#options.clock.now();
    const updates = new Map<string, HealthUpdate>();
    const add = (at: string, isClosed: boolean, update: HealthUpdate): void => {
      const changedAt = this.#changedAt.get(at);
      if (updates.size >= UPDATES_MAX || (isClosed && changedAt === undefined)) return;
      updates.set(at, { ...update, ageMs: changedAt === undefined ? null : now - changedAt });
    };
    for (const { name, breaker, cooldown, overload, credential } of this.#options.subjects()) {
      const update = this.#breakerUpdate(name, breaker);
      if (breaker.state === 'isolated') add(`hand ${name}`, false, update);
      else {
        add(`hand ${name}`, true, { kind: 'breaker', id: name, record: null, isReset: true });
        add(`breaker ${name}`, breaker.state === 'closed', update);
      }
      for (const each of [cooldown, overload]) {
        const leftMs = each.remainingMs(now);
        add(`cooldown ${each.id}`, leftMs === 0, { kind: 'cooldown', id: each.id, leftMs, as: each.kind });
      }
      const record = credential.quarantine.save(now, this.#options.clock.epochMs());
      add(`quarantine ${credential.id}`, record === null, { kind: 'quarantine', id: credential.id, record });
    }
    this.#publish([...updates.values()], wantsReply);
  }

  #publish(updates: readonly HealthUpdate[], wantsReply = false): void {
    const { clock, publish, fleet } = this.#options;
    const message: Message = { from: fleet().member, epochMs: clock.epochMs(), news: updates, wantsReply };
    if (updates.length > 0 || wantsReply) publish(`health\n${JSON.stringify(message)}`);
    if (!updates.some((each) => each.kind === 'breaker' && each.record === 'half-open')) return;
    this.#probing?.cancel();
    this.#probing = clock.schedule(PROBE_AGAIN_MS, () => this.#announceProbes());
  }

  #announceProbes(): void {
    const names = new Set<string>();
    for (const { name, breaker } of this.#options.subjects()) if (breaker.state === 'half-open') names.add(name);
    this.#publish([...names].map((id) => ({ kind: 'breaker', id, record: 'half-open' })));
  }

  #noteBreaker(updates: HealthUpdate[], id: string, breaker: CircuitBreaker): void {
    const { clock } = this.#options;
    const record = breaker.save(clock.now(), clock.epochMs());
    const isProbing = breaker.state === 'half-open';
    const until = record === null || isProbing ? 0 : record.openUntilEpochMs;
    const isReset = breaker.state !== 'isolated' && this.#published.get(`breaker ${id}`)?.state === 'isolated';
    if (this.#isPublished(`breaker ${id}`, breaker.state, until)) return;
    if (isReset || breaker.state === 'isolated') this.#changedAt.set(`hand ${id}`, clock.now());
    updates.push({ ...this.#breakerUpdate(id, breaker), isReset });
  }

  #breakerUpdate(id: string, breaker: CircuitBreaker): HealthUpdate & { kind: 'breaker' } {
    const { clock } = this.#options;
    const record = breaker.state === 'half-open' ? 'half-open' : breaker.save(clock.now(), clock.epochMs());
    return { kind: 'breaker', id, record };
  }

  #noteCooldown(updates: HealthUpdate[], cooldown: Cooldown, now: number): void {
    const leftMs = cooldown.remainingMs(now);
    const state = leftMs > 0 ? cooldown.kind : 'closed';
    const at = `cooldown ${cooldown.id}`;
    // The expiry of a cooldown needs no message; an early reset does.
    if (leftMs === 0 && (this.#published.get(at)?.until ?? 0) < now + ROUNDING_MS) {
      this.#changedAt.delete(at);
      return void this.#published.delete(at);
    }
    if (this.#isPublished(at, state, leftMs > 0 ? now + leftMs : 0)) return;
    updates.push({ kind: 'cooldown', id: cooldown.id, leftMs, as: cooldown.kind });
  }

  #noteQuarantine(updates: HealthUpdate[], id: string, quarantine: Quarantine, now: number): void {
    const record = quarantine.save(now, this.#options.clock.epochMs());
    if (this.#isPublished(`quarantine ${id}`, record === null ? 'closed' : `out ${record.strikes}`, record?.untilEpochMs ?? 0)) return;
    updates.push({ kind: 'quarantine', id, record });
  }

  /** True if the state is already shared; otherwise records it as shared. */
  #isPublished(at: string, state: string, until: number): boolean {
    const published = this.#published.get(at);
    if (published === undefined && state === 'closed') return true;
    if (published !== undefined && published.state === state && Math.abs(published.until - until) < ROUNDING_MS) return true;
    this.#note(at, state, until, this.#options.clock.now());
    return false;
  }

  /** Handles the body of a message from another instance. Invalid updates are ignored. */
  take(body: string): void {
    const message = parse(body);
    if (message === null) return;
    if (message.wantsReply) this.#replying ??= this.#options.clock.schedule(REPLY_MS, () => this.#reply());
    const subjects = [...this.#options.subjects()];
    this.#isAdopting = true;
    try {
      for (const each of message.news.slice(0, UPDATES_MAX)) this.#adopt(each, message, subjects);
    } finally {
      this.#isAdopting = false;
    }
    this.#options.onAdopted();
  }

  #reply(): void {
    this.#replying = null;
    this.#publishAll(false);
  }

  /** When it changed; null: the state of this instance is as recent. */
  #laterAt(at: string, { ageMs }: HealthUpdate): Instant | null {
    const now = this.#options.clock.now();
    if (ageMs === undefined) return now;
    const changedAt = ageMs === null ? -Infinity : now - ageMs;
    const own = this.#changedAt.get(at);
    return own === undefined || own < changedAt - ROUNDING_MS ? changedAt : null;
  }

  #adopt(update: HealthUpdate, message: Message, subjects: readonly HealthSubject[]): void {
    if (update.kind === 'breaker') return this.#adoptBreaker(update, message, subjects);
    const { clock } = this.#options;
    const now = clock.now();
    const changedAt = this.#laterAt(`${update.kind} ${update.id}`, update);
    if (changedAt === null) return;
    if (update.kind === 'quarantine') {
      const quarantine = subjects.find(({ credential }) => credential.id === update.id)?.credential.quarantine;
      if (quarantine === undefined) return;
      if (update.record === null) quarantine.reset();
      else quarantine.restore(now, message.epochMs, update.record);
      const record = quarantine.save(now, clock.epochMs());
      this.#note(`quarantine ${update.id}`, record === null ? 'closed' : `out ${record.strikes}`, record?.untilEpochMs ?? 0, changedAt);
      return;
    }
    const cooldown = subjects.flatMap((subject) => [subject.cooldown, subject.overload]).find(({ id }) => id === update.id);
    if (cooldown === undefined) return;
    if (update.leftMs > 0) cooldown.coolUntil(now + update.leftMs, update.as);
    else cooldown.reset();
    const leftMs = cooldown.remainingMs(now);
    this.#note(`cooldown ${update.id}`, leftMs > 0 ? cooldown.kind : 'closed', leftMs > 0 ? now + leftMs : 0, changedAt);
  }

  #adoptBreaker(update: HealthUpdate & { kind: 'breaker' }, { from, epochMs }: Message, subjects: readonly HealthSubject[]): void {
    const { id, record, isReset = false } = update;
    const breaker = subjects.find(({ name }) => name === id)?.breaker;
    if (breaker === undefined) return;
    const isByHand = isReset || (record !== null && record !== 'half-open' && record.state === 'isolated');
    const changedAt = this.#laterAt(`${isByHand ? 'hand' : 'breaker'} ${id}`, update);
    if (changedAt === null) return;
    if (isByHand) this.#changedAt.set(`hand ${id}`, changedAt);
    // A reset that was missed concerns an isolated breaker only.
    if (isReset && update.ageMs !== undefined && breaker.state !== 'isolated') return;
    const { clock } = this.#options;
    const now = clock.now();
    if (record === 'half-open') breaker.extend(now + PROBE_MS + this.#probeDelayMs(from));
    else if (!breaker.adopt(now, epochMs, record, this.#probeDelayMs(from), isReset)) return;
    const own = breaker.save(now, clock.epochMs());
    const until = own === null || breaker.state === 'half-open' ? 0 : own.openUntilEpochMs;
    this.#note(`breaker ${id}`, breaker.state, until, changedAt);
  }

  #note(at: string, state: string, until: number, changedAt: Instant): void {
    this.#changedAt.set(at, changedAt);
    if (state === 'closed') this.#published.delete(at);
    else this.#published.set(at, { state, until });
  }

  /** The probe delay: proportional to the distance between the sender and this instance. */
  #probeDelayMs(from: string | null): number {
    const { member, members } = this.#options.fleet();
    const [sender, own] = [members.indexOf(from ?? ''), members.indexOf(member ?? '')];
    if (sender < 0 || own < 0) return PROBE_STEP_MS;
    return PROBE_STEP_MS * ((own - sender + members.length) % members.length);
  }
}

interface Message {
  readonly from: string | null;
  /** The sender's wall clock: its records are relative to it. */
  readonly epochMs: number;
  readonly news: readonly HealthUpdate[];
  /** The other instances are to publish all their states. */
  readonly wantsReply: boolean;
}

function parse(body: string): Message | null {
  try {
    const { from, epochMs, news, wantsReply } = JSON.parse(body) as Partial<Message>;
    if (typeof epochMs !== 'number' || !Array.isArray(news)) return null;
    return { from: typeof from === 'string' ? from : null, epochMs, news: news.filter(isUpdate), wantsReply: wantsReply === true };
  } catch {
    return null;
  }
}

function isUpdate(value: unknown): value is HealthUpdate {
  if (!isRecord(value) || typeof value['id'] !== 'string') return false;
  const { kind, record, leftMs, as, ageMs = null } = value;
  if (ageMs !== null && !Number.isFinite(ageMs)) return false;
  if (kind === 'cooldown') return Number.isFinite(leftMs) && (as === 'cooldown' || as === 'pause');
  if (record === null || (kind === 'breaker' && record === 'half-open')) return kind === 'breaker' || kind === 'quarantine';
  if (!isRecord(record)) return false;
  if (kind === 'quarantine') return Number.isFinite(record['untilEpochMs']) && Number.isInteger(record['strikes']);
  const isState = record['state'] === 'open' || record['state'] === 'isolated';
  return (
    kind === 'breaker' && isState && ['openUntilEpochMs', 'missedUntilEpochMs', 'openings'].every((name) => Number.isFinite(record[name]))
  );
}
