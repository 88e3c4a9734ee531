/**
 * Up to two attempts at once for one request (docs/hedging.md): the first, and beside it, once it has been silent for too long,
 * another one. Whichever is decided first is handed out; if it is no answer, the request goes on with the other one, and if it is, the
 * other one is closed. Only requests that may come to that have a race: the others send their one attempt as if there were none.
 */
import type { Instant, Timer } from '../core/clock.ts';
import type { RaceCause } from '../core/events.ts';
import { hedgeDelayMs, probeRaceDelayMs } from '../policy/hedge.ts';
import { createFailure } from '../wire/failure.ts';
import type { Attempt } from './attempt.ts';
import { beginAttempt, endCancelled } from './begin-attempt.ts';
import { permitBeside } from './race-permission.ts';
import type { Race, RequestRun } from './run.ts';
import { takeFailure } from './verdict-effects.ts';

/** Where there was no room for a second attempt, it is looked for again after as long as before, but not more often than this, in ms. */
const LOOK_AGAIN_MIN_MS = 250;

/** The race that an attempt begins; null: it runs alone. */
export function raceFor(run: RequestRun, attempt: Attempt): AttemptRace | null {
  const { target, request } = attempt.options;
  const { hedge } = target.policy;
  const isProbe = target.state.breaker.state === 'half-open';
  if (!hedge.enabled && !isProbe) return null;
  // What is passed through unread may be an order for a hundred images. An answer that goes on elsewhere has its own time.
  if (request.facts.operation === 'bytes' || run.broken !== null || run.attempts >= run.route.maxAttempts) return null;
  const usual = (quantile: number): number | null => attempt.usualSilenceMs(quantile);
  const probeMs = isProbe ? probeRaceDelayMs(usual) : null;
  if (probeMs !== null) return new AttemptRace(run, attempt, 'probe', probeMs);
  const hedgeMs = hedge.enabled ? hedgeDelayMs(hedge.delay, usual) : null;
  return hedgeMs === null ? null : new AttemptRace(run, attempt, 'hedge', hedgeMs);
}

export class AttemptRace implements Race {
  readonly #run: RequestRun;
  readonly #first: Attempt;
  readonly #cause: RaceCause;
  readonly #delayMs: number;
  #timer: Timer | null = null;
  /** Not decided yet. */
  #running: Attempt[] = [];
  /** Decided while the request was busy with the other one. */
  #decided: Attempt[] = [];
  #tell: ((attempt: Attempt | null) => void) | null = null;
  #reject: (error: unknown) => void = () => {};

  constructor(run: RequestRun, first: Attempt, cause: RaceCause, delayMs: number) {
    this.#run = run;
    this.#first = first;
    this.#cause = cause;
    this.#delayMs = delayMs;
    run.race = this;
  }

  /** Sends the first attempt; resolves as `next` does. */
  start(): Promise<Attempt | null> {
    const next = this.#wait();
    this.#setTimer(this.#delayMs);
    this.#send(this.#first);
    return next;
  }

  /** The next attempt that is decided: a candidate or a failure; null: the request is over, and none runs any more. */
  next(): Promise<Attempt | null> {
    const attempt = this.#decided.shift();
    if (attempt === undefined) return this.#wait();
    if (!attempt.isComplete) attempt.resume();
    this.#endIfEmpty();
    return Promise.resolve(attempt);
  }

  /** The answer of `winner` goes out: the other attempt, if there is one, is closed at once. */
  win(winner: Attempt): void {
    if (winner !== this.#first) this.#run.fallback ??= 'slow';
    this.#close((attempt) => this.#lose(attempt));
  }

  /** Somebody wants the answer for longer. */
  raiseDeadline(deadline: Instant): void {
    for (const attempt of this.#running) attempt.raiseDeadline(deadline);
  }

  /** Nobody waits for an answer any more. */
  leave(): void {
    this.#close((attempt) => {
      attempt.cancel();
      endCancelled(this.#run, attempt);
    });
  }

  #wait(): Promise<Attempt | null> {
    return new Promise((resolve, reject) => {
      this.#tell = resolve;
      this.#reject = reject;
    });
  }

  #send(attempt: Attempt): void {
    this.#running.push(attempt);
    attempt.run(this.#run.engine.transport).then(
      () => this.#decide(attempt),
      (error: unknown) => this.#fail(attempt, error),
    );
  }

  #decide(attempt: Attempt): void {
    if (!this.#takeOut(attempt)) return;
    if (this.#tell === null) {
      this.#decided.push(attempt);
      if (!attempt.isComplete) attempt.pause(); // it is not taken yet, and must not fill the memory
      return;
    }
    this.#endIfEmpty();
    this.#answer(attempt);
  }

  /** A fault of ours kept it from being sent. The other one may answer all the same. */
  #fail(attempt: Attempt, error: unknown): void {
    if (!this.#takeOut(attempt)) return;
    attempt.cancel();
    endCancelled(this.#run, attempt);
    const isLast = this.#running.length + this.#decided.length === 0;
    this.#endIfEmpty();
    if (isLast && this.#tell !== null) this.#reject(error);
    else this.#run.warn(error);
  }

  #takeOut(attempt: Attempt): boolean {
    const index = this.#running.indexOf(attempt);
    if (index < 0) return false;
    this.#running.splice(index, 1);
    if (attempt === this.#first) this.#stopTimer();
    return true;
  }

  #answer(attempt: Attempt | null): void {
    const tell = this.#tell;
    this.#tell = null;
    tell?.(attempt);
  }

  #setTimer(delayMs: number): void {
    this.#timer = this.#run.engine.clock.schedule(delayMs, () => {
      this.#timer = null;
      try {
        this.#look();
      } catch (error) {
        this.#run.warn(error); // the first one goes on
      }
    });
  }

  #stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** The first one has been silent for so long. */
  #look(): void {
    const run = this.#run;
    if (run.isOver || !this.#first.isSilent || run.attempts >= run.route.maxAttempts) return;
    const { target } = this.#first.options;
    const now = run.engine.clock.now();
    const { hedgeBudget, retryBudget } = target.state;
    const isHedge = this.#cause === 'hedge';
    const isAllowed = !isHedge || (hedgeBudget.allows && retryBudget.allows(now, run.source.client));
    const admitted = isAllowed ? permitBeside(run, target, this.#cause) : null;
    if (admitted === null) return this.#setTimer(Math.max(LOOK_AGAIN_MIN_MS, this.#delayMs));
    if (isHedge) {
      hedgeBudget.take();
      retryBudget.take(now, run.source.client);
    }
    const second = beginAttempt(run, admitted, this.#cause);
    if (second === null) return;
    this.#send(second);
    run.tell(`silent for ${Math.round(now - this.#first.startedAt)} ms: another attempt runs beside it (${this.#cause})`, target);
  }

  #close(end: (attempt: Attempt) => void): void {
    this.#stopTimer();
    const left = [...this.#running, ...this.#decided];
    this.#running = [];
    this.#decided = [];
    this.#endIfEmpty();
    for (const attempt of left) end(attempt);
    this.#answer(null);
  }

  #endIfEmpty(): void {
    if (this.#running.length + this.#decided.length === 0 && this.#run.race === this) this.#run.race = null;
  }

  /**
   * A loser says nothing bad of its target, unless it has failed: it may have been about to answer. But a probe was sent to find out
   * whether the target is well, and one that was silent for twice as long as usual, and then outrun, has shown that it is not: else
   * every request would be the next probe, and wait for it as long.
   */
  #lose(attempt: Attempt): void {
    if (attempt.failure !== null) return void takeFailure(this.#run, attempt, attempt.failure);
    if (this.#cause !== 'probe' || attempt !== this.#first || !attempt.isSilent) {
      attempt.loseRace();
      return endCancelled(this.#run, attempt);
    }
    attempt.cancel();
    const silentMs = Math.round(this.#run.engine.clock.now() - attempt.startedAt);
    const phase = !attempt.sent ? 'connect' : attempt.status === 0 ? 'headers' : 'first_content';
    takeFailure(this.#run, attempt, createFailure('slow', phase, `no content within ${silentMs} ms, and another target answered`));
  }
}
