import type { SecretScan } from '../../core/secrets/secret-scan.ts';
import { createContentTemplate } from './content-template.ts';
import type { ContentTemplate } from './content-template.ts';

/** Forms that go by turns, such as those of several choices. */
const TEMPLATES_MAX = 4;
/** After templates that no event matched at most so many events pass before the next is made. */
const WAIT_MAX = 63;

/** The forms of a stream's latest events. Making one costs as much as reading an event, so useless ones are made less and less. */
export class TemplateList {
  /** The model that the events matched last name, or null if they name none. */
  model: string | null = null;
  /** Of the last match: its events, the characters of their content, and whether a secret or a part of one is in it. */
  events = 0;
  chars = 0;
  holdsSecret = false;
  /** The latest first. */
  readonly #entries: { readonly form: ContentTemplate; readonly model: string | null }[] = [];
  /** Made in a row without a match. */
  #useless = 0;
  /** Events to pass before another is made. */
  #wait = 0;

  /** The end of the known events, none longer than `sizeMax`, that stand in the text from `start` on; `start` if there is none. */
  match(text: string, start: number, sizeMax: number, secrets: SecretScan | null = null): number {
    const entries = this.#entries;
    for (let i = 0; i < entries.length; i++) {
      const { form, model } = entries[i]!;
      const end = form.match(text, start, sizeMax, secrets);
      if (end === start) continue;
      this.#useless = 0;
      this.#wait = 0;
      this.model = model;
      this.events = form.events;
      this.chars = form.chars;
      this.holdsSecret = form.holdsSecret;
      return end;
    }
    return start;
  }

  /** An event of a plain kind was read; true if it is time to take its form. */
  isDue(): boolean {
    if (this.#wait === 0) return true;
    this.#wait--;
    return false;
  }

  /** Takes the form of an event, the whole of it as Latin-1. */
  add(block: string, model: string | null): void {
    this.#wait = Math.min(2 ** this.#useless - 1, WAIT_MAX);
    this.#useless++;
    const form = createContentTemplate(block);
    if (form === null) return;
    this.#entries.unshift({ form, model });
    if (this.#entries.length > TEMPLATES_MAX) this.#entries.pop();
  }

  /** The stream is over. */
  clear(): void {
    this.#entries.length = 0;
  }
}
