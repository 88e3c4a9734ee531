/** Text on stderr, or JSON lines on stdout. */
import { countsOf, hasEnded, type BatchObject } from './api.ts';
import type { Pace } from '../../jobs/recent-pace.ts';
import { renderProgress } from './progress.ts';

/** Interval of progress lines if stderr is not a terminal, in milliseconds. */
const LINE_MS = 10_000;

export class Display {
  readonly #json: boolean;
  /** A line can be replaced. */
  readonly #isTerminal = process.stderr.isTTY && process.env['TERM'] !== 'dumb';
  #saidAt = -Infinity;
  #last = '';
  #hasLine = false;

  constructor(json: boolean) {
    this.#json = json;
  }

  note(fact: object, text: string): void {
    if (this.#json) process.stdout.write(`${JSON.stringify(fact)}\n`);
    else this.say(text);
  }

  /** Only for people. */
  say(text: string): void {
    if (this.#json) return;
    process.stderr.write(`${this.#hasLine ? '\n' : ''}${text}\n`);
    this.#hasLine = false;
  }

  progress(batch: BatchObject, pace: Pace, now: number): void {
    const counts = countsOf(batch);
    const isDrawn = this.#isTerminal && !this.#json;
    const line = renderProgress(counts, pace, isDrawn ? (process.stderr.columns || 80) - 1 : Infinity);
    if (line === this.#last) return;
    if (isDrawn) {
      process.stderr.write(`\r\x1b[K${line}`);
      this.#hasLine = true;
    } else if (hasEnded(batch) || now - this.#saidAt >= LINE_MS) {
      this.#saidAt = now;
      this.note({ type: 'progress', id: batch.id, ...counts, perSecond: pace.perSecond, leftMs: pace.leftMs }, line);
    } else return;
    this.#last = line;
  }
}
