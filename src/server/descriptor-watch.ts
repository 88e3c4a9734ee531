/**
 * Detects that this process is out of file descriptors. The event loop then accepts and closes new connections without an error: callers
 * see a reset, and nothing is logged. So a descriptor is opened as a probe, once per second and when connections are accepted.
 */
import { closeSync, openSync } from 'node:fs';
import { devNull } from 'node:os';
import type { Clock, Timer } from '../core/clock.ts';
import { Pace } from '../core/pace.ts';

const PROBE_EVERY_MS = 1_000;
/** The least time between two probes for new connections, in milliseconds. */
const PROBE_AGAIN_MS = 100;
/** The least time between two warnings, in milliseconds. */
const WARN_EVERY_MS = 30_000;

const EXHAUSTED: ReadonlySet<unknown> = new Set(['EMFILE', 'ENFILE']);

export class DescriptorWatch {
  readonly #clock: Clock;
  readonly #warn: (message: string) => void;
  readonly #probe: () => void;
  readonly #warnings = new Pace(WARN_EVERY_MS);
  readonly #probes = new Pace(PROBE_AGAIN_MS);
  #timer: Timer;
  /** A warning about the current exhaustion was emitted. */
  #hasWarned = false;

  /** `probe` opens and closes a descriptor, or throws the error of Node.js. */
  constructor(clock: Clock, warn: (message: string) => void, probe: () => void = openOne) {
    this.#clock = clock;
    this.#warn = warn;
    this.#probe = probe;
    this.#timer = this.#schedule();
  }

  /** A connection was accepted: it may have used the last descriptor. */
  noteConnection(): void {
    if (this.#probes.isDue(this.#clock.now())) this.#look();
  }

  /** A connection could not be accepted, with the error of Node.js. */
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
    if (!this.#hasWarned) return;
    this.#hasWarned = false;
    this.#warn('file descriptors are available again: new connections are accepted');
  }

  #exhausted(code: string): void {
    if (!this.#warnings.isDue(this.#clock.now())) return;
    this.#hasWarned = true;
    this.#warn(
      `out of file descriptors (${code}): new connections are closed without a response until others end. Raise the limit of open files (ulimit -n, LimitNOFILE of systemd, --ulimit nofile of a container)`,
    );
  }
}

function openOne(): void {
  closeSync(openSync(devNull, 'r'));
}
