/**
 * Notices that this process is out of file descriptors. The event loop then accepts new connections only to close them, and reports no
 * error: callers see a reset, and the log nothing. So a descriptor is opened as a probe, once a second and as connections come.
 */
import { closeSync, openSync } from 'node:fs';
import { devNull } from 'node:os';
import type { Clock, Timer } from '../core/clock.ts';
import { Pace } from '../core/pace.ts';

const PROBE_EVERY_MS = 1_000;
/** As connections come, a probe is made this often at most, in milliseconds. */
const PROBE_AGAIN_MS = 100;
/** Operators are warned this often at most, in milliseconds. */
const WARN_EVERY_MS = 30_000;

const EXHAUSTED: ReadonlySet<unknown> = new Set(['EMFILE', 'ENFILE']);

export class DescriptorWatch {
  readonly #clock: Clock;
  readonly #warn: (message: string) => void;
  readonly #probe: () => void;
  readonly #warnings = new Pace(WARN_EVERY_MS);
  readonly #probes = new Pace(PROBE_AGAIN_MS);
  #timer: Timer;
  /** A warning about the current exhaustion was given. */
  #isTold = false;

  /** `probe`: takes a descriptor and gives it back, or throws Node's error. */
  constructor(clock: Clock, warn: (message: string) => void, probe: () => void = openOne) {
    this.#clock = clock;
    this.#warn = warn;
    this.#probe = probe;
    this.#timer = this.#schedule();
  }

  /** A connection was taken: it may have been the last one. */
  noteConnection(): void {
    if (this.#probes.isDue(this.#clock.now())) this.#look();
  }

  /** A connection could not be accepted, with Node's error. */
  noteError(error: Error): void {
    const { code } = error as NodeJS.ErrnoException;
    if (EXHAUSTED.has(code)) this.#exhausted(String(code));
    else if (this.#warnings.isDue(this.#clock.now())) this.#warn(`a connection could not be accepted: ${error.message}`);
  }

  close(): void {
    this.#timer.cancel();
  }

  #schedule(): Timer {
    return this.#clock.schedule(PROBE_EVERY_MS, () => {
      this.#timer = this.#schedule();
      this.#look();
    });
  }

  #look(): void {
    try {
      this.#probe();
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      return EXHAUSTED.has(code) ? this.#exhausted(String(code)) : undefined;
    }
    if (!this.#isTold) return;
    this.#isTold = false;
    this.#warn('file descriptors are free again: new connections are accepted');
  }

  #exhausted(code: string): void {
    if (!this.#warnings.isDue(this.#clock.now())) return;
    this.#isTold = true;
    this.#warn(
      `no file descriptor is free (${code}): new connections are closed unanswered until some end. Raise the limit of open files (ulimit -n, LimitNOFILE of systemd, --ulimit nofile of a container)`,
    );
  }
}

function openOne(): void {
  closeSync(openSync(devNull, 'r'));
}
