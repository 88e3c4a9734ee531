import type { ModelEvent } from './model.ts';

type PartEvent = Extract<ModelEvent, { type: 'part_start' | 'delta' | 'part_end' }>;

/**
 * One part at a time, for dialects whose parts follow each other: what a later part says while an earlier one is open waits for that
 * one's end. Bounded by the response, which is bounded elsewhere. For the first choice only.
 */
export class PartOrder {
  /** Parts begun and not passed on whole, in order; the first is the open one. */
  readonly #waiting = new Map<number, PartEvent[]>();
  #open: number | null = null;

  /** What may go on now, in order. */
  *add(event: ModelEvent): Generator<ModelEvent> {
    if (event.type !== 'part_start' && event.type !== 'delta' && event.type !== 'part_end') return void (yield event);
    if (this.#open === null) this.#open = event.part;
    if (event.part !== this.#open) {
      const held = this.#waiting.get(event.part);
      if (held === undefined) this.#waiting.set(event.part, [event]);
      else held.push(event);
      return;
    }
    yield event;
    if (event.type === 'part_end') yield* this.#next();
  }

  *#next(): Generator<ModelEvent> {
    this.#open = null;
    for (const [part, held] of this.#waiting) {
      this.#waiting.delete(part);
      yield* held;
      if (held.at(-1)!.type !== 'part_end') {
        this.#open = part;
        return;
      }
    }
  }
}
