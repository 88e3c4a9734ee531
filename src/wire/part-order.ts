import type { ModelEvent } from './model.ts';

type PartEvent = Extract<ModelEvent, { type: 'part_start' | 'delta' | 'part_end' }>;

/**
 * Serializes parts, for dialects that do not interleave them: the events of a later part are held until the open part ends. Bounded by
 * the size of the response, which is limited elsewhere. For the first choice only.
 */
export class PartOrder {
  /** Held events by part, in the order in which the parts began. */
  readonly #waiting = new Map<number, PartEvent[]>();
  #open: number | null = null;

  /** The events that can be emitted now, in order. */
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
