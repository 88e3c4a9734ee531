/**
 * Shares between instances what they learn of targets: the limits that providers report, and how long calls are silent.
 *
 * A provider counts the calls of all instances together, so what it reports to one of them is sent to the others as soon as noticeably less
 * remains, and only lowers what they have. Inferred rates and concurrency are not sent: they are what one instance gets beside the others.
 *
 * Silences are sent every few seconds as counts, which the others add to their own. An instance that has just joined asks for all that is
 * known: one of the others replies. No request waits for any of it, and a lost message costs little.
 */
import type { Clock, Instant, Timer } from '../core/clock.ts';
import type { SilenceRecord } from '../policy/latency/silence.ts';
import type { LearnedRate } from '../policy/rate-limiter/learned-rate.ts';
import type { RateLimit, SharedLimit } from '../policy/rate-limiter/shared-limit.ts';
import { MESSAGE_MAX, readLearned, toText, type LearnedMessage, type TargetSilences } from './learned-message.ts';

/** Minimum interval between two messages with limits, in milliseconds. */
const LIMITS_MS = 200;
/** The same for silences. */
const SILENCES_MS = 5_000;
/** The first member replies after this delay, in milliseconds; the next one this much later if no reply has come. */
const REPLY_MS = 100;
const REPLY_STEP_MS = 50;
/** Maximum number of messages in one reply; what is beyond it is not sent. */
const REPLY_MESSAGES_MAX = 8;
/** A reply from an instance that has learned at least this share of what this one has makes another one unnecessary. */
const ENOUGH_SHARE = 0.5;

/** The learned rate limits of a key, or of one model of it. */
export interface LearningRates {
  readonly requests: LearnedRate;
  readonly tokens: LearnedRate;
  takeNews(now: Instant): readonly RateLimit[];
  share(now: Instant): readonly RateLimit[];
  /** True if waiting requests may start sooner. */
  adopt(now: Instant, rate: LearnedRate, limit: SharedLimit): boolean;
}

/** What is learned of one target. Targets may share parts. */
export interface LearningSubject {
  readonly name: string;
  readonly silence: SilenceRecord;
  readonly rates: LearningRates | null;
}

export interface SharedLearningOptions {
  readonly clock: Clock;
  readonly subjects: () => Iterable<LearningSubject>;
  readonly publish: (text: string) => void;
  readonly fleet: () => { readonly member: string | null; readonly members: readonly string[]; readonly isLinked: boolean };
  /** Queued requests may be able to start. */
  readonly onOpened: () => void;
}

export class SharedLearning {
  readonly #options: SharedLearningOptions;
  #limitsTimer: Timer | null = null;
  #limitsAt: Instant = -Infinity;
  #silencesTimer: Timer | null = null;
  /** The target whose silences come first in the next message, so that each has its turn. */
  #nextTarget = 0;
  #reply: Timer | null = null;
  #isStopped = false;

  constructor(options: SharedLearningOptions) {
    this.#options = options;
  }

  /** A limit was learned, or noticeably less remains of one. */
  hasLimitNews(): void {
    const { clock, fleet } = this.#options;
    if (this.#limitsTimer !== null || this.#isStopped || !fleet().isLinked) return;
    this.#limitsTimer = clock.schedule(this.#limitsAt + LIMITS_MS - clock.now(), () => this.#sendLimits());
  }

  /** The connection to the store is made: sends what is new since it was lost, and asks for what the others have learned. */
  linked(): void {
    if (this.#isStopped) return;
    this.#publish({ wantsReply: true });
    this.hasLimitNews();
    this.#silencesTimer ??= this.#options.clock.schedule(SILENCES_MS, () => this.#sendSilences());
  }

  stop(): void {
    this.#isStopped = true;
    for (const timer of [this.#limitsTimer, this.#silencesTimer, this.#reply]) timer?.cancel();
  }

  #publish(message: Partial<LearnedMessage>): void {
    this.#options.publish(`learned\n${toText(message)}`);
  }

  #sendLimits(): void {
    this.#limitsTimer = null;
    if (!this.#options.fleet().isLinked) return; // `linked` continues
    const now = this.#options.clock.now();
    this.#limitsAt = now;
    const page = new Page();
    for (const rates of this.#rates()) {
      for (const limit of rates.takeNews(now)) page.limits.push(page.counted(limit));
      if (!page.isFull) continue;
      this.hasLimitNews();
      break;
    }
    if (page.limits.length > 0) this.#publish({ limits: page.limits });
  }

  #sendSilences(): void {
    const { clock, fleet } = this.#options;
    this.#silencesTimer = null;
    if (!fleet().isLinked) return;
    this.#silencesTimer = clock.schedule(SILENCES_MS, () => this.#sendSilences());
    this.#sendNewSilences();
  }

  #sendNewSilences(): void {
    const page = new Page();
    const targets = [...this.#silences()];
    for (let i = 0; i < targets.length && !page.isFull; i++) {
      const at = (this.#nextTarget + i) % targets.length;
      const [target, silence] = targets[at]!;
      for (const found of silence.takeNew()) {
        page.silences.push(page.counted({ target, ...found }));
        if (page.isFull) break;
      }
      if (page.isFull) this.#nextTarget = at + 1;
    }
    if (page.silences.length > 0) this.#publish({ silences: page.silences });
  }

  /** Handles the body of a message from another instance. */
  take(body: string): void {
    const message = readLearned(body);
    if (message === null || this.#isStopped) return;
    if (message.wantsReply) this.#scheduleReply();
    this.#adoptSilences(message);
    if (message.limits.length > 0) this.#adoptLimits(message.limits);
    if (message.whole === null || message.whole < ENOUGH_SHARE * this.#learned()) return;
    this.#reply?.cancel();
    this.#reply = null;
  }

  /** Members reply in their order, each only if none before it has. */
  #scheduleReply(): void {
    const { clock, fleet } = this.#options;
    const { member, members } = fleet();
    const place = Math.max(0, members.indexOf(member ?? ''));
    this.#reply ??= clock.schedule(REPLY_MS + place * REPLY_STEP_MS, () => this.#sendAll());
  }

  #sendAll(): void {
    this.#reply = null;
    const now = this.#options.clock.now();
    const whole = this.#learned();
    if (whole === 0) return;
    this.#sendNewSilences(); // otherwise the receiver of the whole would add them again
    let [page, pages] = [new Page(), 0];
    const send = (): void => {
      this.#publish({ limits: page.limits, silences: page.silences, whole });
      pages++;
      page = new Page();
    };
    for (const rates of this.#rates()) {
      for (const limit of rates.share(now)) page.limits.push(page.counted(limit));
      if (page.isFull) send();
      if (pages === REPLY_MESSAGES_MAX) return;
    }
    for (const [target, silence] of this.#silences()) {
      for (const known of silence.save()) page.silences.push(page.counted({ target, ...known }));
      if (page.isFull) send();
      if (pages === REPLY_MESSAGES_MAX) return;
    }
    if (!page.isEmpty) send();
  }

  #adoptSilences({ silences, whole }: LearnedMessage): void {
    if (silences.length === 0) return;
    const known = this.#silences();
    for (const each of silences) {
      const silence = known.get(each.target);
      if (whole === null) silence?.add(each);
      else silence?.restore(each);
    }
  }

  #adoptLimits(limits: readonly RateLimit[]): void {
    const now = this.#options.clock.now();
    const known = new Map([...this.#rates()].flatMap((rates) => [rates.requests, rates.tokens].map((rate) => [rate.id, { rates, rate }])));
    let hasOpened = false;
    for (const limit of limits) {
      const found = known.get(limit.rate);
      if (found !== undefined && found.rates.adopt(now, found.rate, limit)) hasOpened = true;
    }
    if (hasOpened) this.#options.onOpened();
  }

  /** How much this instance has learned: limits and silences. */
  #learned(): number {
    let sum = 0;
    for (const { requests, tokens } of this.#rates()) sum += requests.advertisedCount + tokens.advertisedCount;
    for (const silence of this.#silences().values()) sum += silence.count;
    return sum;
  }

  #rates(): Set<LearningRates> {
    const found = new Set<LearningRates>();
    for (const { rates } of this.#options.subjects()) if (rates !== null) found.add(rates);
    return found;
  }

  /** By target; the keys of a target share them. */
  #silences(): Map<string, SilenceRecord> {
    const found = new Map<string, SilenceRecord>();
    for (const { name, silence } of this.#options.subjects()) found.set(name, silence);
    return found;
  }
}

/** The content of one message. */
class Page {
  readonly limits: RateLimit[] = [];
  readonly silences: TargetSilences[] = [];
  #length = 0;

  get isFull(): boolean {
    return this.#length >= MESSAGE_MAX;
  }

  get isEmpty(): boolean {
    return this.#length === 0;
  }

  counted<T extends RateLimit | TargetSilences>(entry: T): T {
    this.#length += JSON.stringify(entry).length;
    return entry;
  }
}
