/**
 * Whether another instance still makes a response that is followed, before a further reader gets a part of it: what is here already may be
 * of an instance that is gone.
 */
import type { Clock } from '../../core/clock.ts';

/** A reply takes two messages and a read of the recording. Without one, the further reader follows the response anew. */
const REPLY_MS = 300;

export class LifeCheck {
  readonly #clock: Clock;
  readonly #ask: () => void;
  /** The present check, which all that ask meanwhile share. */
  #reply: Promise<boolean> | null = null;
  #settle: ((isAlive: boolean) => void) | null = null;

  constructor(clock: Clock, ask: () => void) {
    this.#clock = clock;
    this.#ask = ask;
  }

  /** False: it is not known, or the response is over. */
  isAlive(): Promise<boolean> {
    this.#reply ??= new Promise((resolve) => {
      const timer = this.#clock.schedule(REPLY_MS, () => this.settle(false));
      this.#settle = (isAlive) => {
        timer.cancel();
        resolve(isAlive);
      };
      this.#ask();
    });
    return this.#reply;
  }

  settle(isAlive: boolean): void {
    this.#settle?.(isAlive);
    this.#settle = null;
    this.#reply = null;
  }
}
