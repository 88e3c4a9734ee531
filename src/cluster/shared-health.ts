/**
 * What one instance finds out about a target or a credential holds for all: a cooldown, a breaker that opens or closes, a quarantine.
 * Changes are published at once; nobody waits for them. Probes are the affair of the instance that found the fault, and of one
 * instance at a time: while it probes the others hold still, and without it they come one after the other.
 */
import type { Clock, Timer } from '../core/clock.ts';
import type { BreakerRecord, CircuitBreaker } from '../policy/circuit-breaker/circuit-breaker.ts';
import type { Quarantine, QuarantineRecord } from '../policy/cooldown/quarantine.ts';
import type { Cooldown } from '../policy/cooldown/cooldown.ts';

/** Instances that may probe instead do so this much later each, in milliseconds: by then they have heard of a probe. */
const LATER_MS = 150;
/** Another instance's probe is waited for so long, in milliseconds; it says so again while it goes on. */
const PROBE_MS = 1_500;
const PROBE_AGAIN_MS = 1_000;
/** Differences below this are rounding, in milliseconds. */
const SAME_MS = 200;
/** Pieces of news in one message; more than this are not taken in. */
const NEWS_MAX = 4_000;

/** What the health of one target hangs on. Several may share a piece. */
export interface HealthSubject {
  readonly name: string;
  readonly breaker: CircuitBreaker;
  readonly cooldown: Cooldown;
  readonly overload: Cooldown;
  readonly credential: { readonly id: string; readonly bench: Quarantine };
}

/** Of breakers `half-open`: the sender probes now. Null: it is in order again. */
type News =
  | { readonly kind: 'cooldown'; readonly id: string; readonly leftMs: number; readonly as: 'cooldown' | 'bench' }
  | { readonly kind: 'breaker'; readonly id: string; readonly record: BreakerRecord | 'half-open' | null }
  | { readonly kind: 'bench'; readonly id: string; readonly record: QuarantineRecord | null };

export interface SharedHealthOptions {
  readonly clock: Clock;
  readonly subjects: () => Iterable<HealthSubject>;
  readonly publish: (text: string) => void;
  /** This instance and all members, in the same order everywhere. */
  readonly fleet: () => { readonly member: string | null; readonly members: readonly string[] };
  /** Something was taken over from another instance. */
  readonly onAdopted: () => void;
}

/** What is known to all of one piece: until when, and in which state. */
interface Said {
  readonly state: string;
  readonly until: number;
}

export class SharedHealth {
  readonly #options: SharedHealthOptions;
  /** What was published or taken over last; no more than there are targets and credentials. */
  readonly #said = new Map<string, Said>();
  #isAdopting = false;
  /** While a probe of this instance runs. */
  #probing: Timer | null = null;

  constructor(options: SharedHealthOptions) {
    this.#options = options;
  }

  /** Something of the health of a target may have changed: what others don't know yet is published. */
  changed(): void {
    if (this.#isAdopting) return;
    const { clock, subjects } = this.#options;
    const now = clock.now();
    const news: News[] = [];
    for (const { name, breaker, cooldown, overload, credential } of subjects()) {
      this.#noteBreaker(news, name, breaker);
      this.#noteCooldown(news, cooldown, now);
      this.#noteCooldown(news, overload, now);
      this.#noteBench(news, credential.id, credential.bench, now);
      if (news.length >= NEWS_MAX) break;
    }
    this.#publish(news);
  }

  stop(): void {
    this.#probing?.cancel();
    this.#isAdopting = true;
  }

  #publish(news: readonly News[]): void {
    const { clock, publish, fleet } = this.#options;
    if (news.length > 0) publish(`health\n${JSON.stringify({ from: fleet().member, epochMs: clock.epochMs(), news })}`);
    if (!news.some((each) => each.kind === 'breaker' && each.record === 'half-open')) return;
    this.#probing?.cancel();
    this.#probing = clock.schedule(PROBE_AGAIN_MS, () => this.#sayProbes());
  }

  #sayProbes(): void {
    const names = new Set<string>();
    for (const { name, breaker } of this.#options.subjects()) if (breaker.state === 'half-open') names.add(name);
    this.#publish([...names].map((id) => ({ kind: 'breaker', id, record: 'half-open' })));
  }

  #noteBreaker(news: News[], id: string, breaker: CircuitBreaker): void {
    const { clock } = this.#options;
    const record = breaker.save(clock.now(), clock.epochMs());
    const isProbing = breaker.state === 'half-open';
    const until = record === null || isProbing ? 0 : record.openUntilEpochMs;
    if (this.#isSaid(`breaker ${id}`, breaker.state, until)) return;
    news.push({ kind: 'breaker', id, record: isProbing ? 'half-open' : record });
  }

  #noteCooldown(news: News[], cooldown: Cooldown, now: number): void {
    const leftMs = cooldown.remainingMs(now);
    const state = leftMs > 0 ? cooldown.kind : 'closed';
    const at = `cooldown ${cooldown.id}`;
    // That a pause is over by its time others know as well; that it was taken back they don't.
    if (leftMs === 0 && (this.#said.get(at)?.until ?? 0) < now + SAME_MS) return void this.#said.delete(at);
    if (this.#isSaid(at, state, leftMs > 0 ? now + leftMs : 0)) return;
    news.push({ kind: 'cooldown', id: cooldown.id, leftMs, as: cooldown.kind });
  }

  #noteBench(news: News[], id: string, bench: Quarantine, now: number): void {
    const record = bench.save(now, this.#options.clock.epochMs());
    if (this.#isSaid(`bench ${id}`, record === null ? 'closed' : `out ${record.strikes}`, record?.untilEpochMs ?? 0)) return;
    news.push({ kind: 'bench', id, record });
  }

  /** True if all know it already; else it is noted as said. */
  #isSaid(at: string, state: string, until: number): boolean {
    const said = this.#said.get(at);
    if (said === undefined && state === 'closed') return true;
    if (said !== undefined && said.state === state && Math.abs(said.until - until) < SAME_MS) return true;
    if (state === 'closed') this.#said.delete(at);
    else this.#said.set(at, { state, until });
    return false;
  }

  /** The body of a message that another instance has published. What makes no sense is ignored. */
  take(body: string): void {
    const message = parse(body);
    if (message === null) return;
    const subjects = [...this.#options.subjects()];
    this.#isAdopting = true;
    for (const each of message.news.slice(0, NEWS_MAX)) this.#adopt(each, message, subjects);
    this.#isAdopting = false;
    this.#options.onAdopted();
  }

  #adopt(news: News, message: Message, subjects: readonly HealthSubject[]): void {
    if (news.kind === 'breaker') return this.#adoptBreaker(news, message, subjects);
    const { clock } = this.#options;
    const now = clock.now();
    if (news.kind === 'bench') {
      const bench = subjects.find(({ credential }) => credential.id === news.id)?.credential.bench;
      if (bench === undefined) return;
      if (news.record === null) bench.reset();
      else bench.restore(now, message.epochMs, news.record);
      const record = bench.save(now, clock.epochMs());
      this.#note(`bench ${news.id}`, record === null ? 'closed' : `out ${record.strikes}`, record?.untilEpochMs ?? 0);
      return;
    }
    const cooldown = subjects.flatMap((subject) => [subject.cooldown, subject.overload]).find(({ id }) => id === news.id);
    if (cooldown === undefined) return;
    if (news.leftMs > 0) cooldown.coolUntil(now + news.leftMs, news.as);
    else cooldown.reset();
    const leftMs = cooldown.remainingMs(now);
    this.#note(`cooldown ${news.id}`, leftMs > 0 ? cooldown.kind : 'closed', leftMs > 0 ? now + leftMs : 0);
  }

  #adoptBreaker({ id, record }: News & { kind: 'breaker' }, { from, epochMs }: Message, subjects: readonly HealthSubject[]): void {
    const breaker = subjects.find(({ name }) => name === id)?.breaker;
    if (breaker === undefined) return;
    const { clock } = this.#options;
    const now = clock.now();
    if (record === 'half-open') breaker.extend(now + PROBE_MS + this.#laterMs(from));
    else breaker.adopt(now, epochMs, record, this.#laterMs(from));
    const own = breaker.save(now, clock.epochMs());
    const until = own === null || breaker.state === 'half-open' ? 0 : own.openUntilEpochMs;
    this.#note(`breaker ${id}`, breaker.state, until);
  }

  #note(at: string, state: string, until: number): void {
    if (state === 'closed') this.#said.delete(at);
    else this.#said.set(at, { state, until });
  }

  /** Later for each instance that stands between the sender and this one. */
  #laterMs(from: string | null): number {
    const { member, members } = this.#options.fleet();
    const [sender, own] = [members.indexOf(from ?? ''), members.indexOf(member ?? '')];
    if (sender < 0 || own < 0) return LATER_MS;
    return LATER_MS * ((own - sender + members.length) % members.length);
  }
}

interface Message {
  readonly from: string | null;
  /** The sender's wall clock: its records are relative to it. */
  readonly epochMs: number;
  readonly news: readonly News[];
}

function parse(body: string): Message | null {
  try {
    const { from, epochMs, news } = JSON.parse(body) as Partial<Message>;
    if (typeof epochMs !== 'number' || !Array.isArray(news)) return null;
    return { from: typeof from === 'string' ? from : null, epochMs, news: news.filter(isNews) };
  } catch {
    return null;
  }
}

function isNews(value: unknown): value is News {
  if (!isRecord(value) || typeof value['id'] !== 'string') return false;
  const { kind, record, leftMs, as } = value;
  if (kind === 'cooldown') return Number.isFinite(leftMs) && (as === 'cooldown' || as === 'bench');
  if (record === null || (kind === 'breaker' && record === 'half-open')) return kind === 'breaker' || kind === 'bench';
  if (!isRecord(record)) return false;
  if (kind === 'bench') return Number.isFinite(record['untilEpochMs']) && Number.isInteger(record['strikes']);
  const isState = record['state'] === 'open' || record['state'] === 'isolated';
  return (
    kind === 'breaker' && isState && ['openUntilEpochMs', 'missedUntilEpochMs', 'openings'].every((name) => Number.isFinite(record[name]))
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
