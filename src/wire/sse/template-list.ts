import type { SecretScan } from '../../core/secrets/secret-scan.ts';
import { createEventTemplate } from './event-template.ts';
import type { EventForm, EventTemplate } from './event-template.ts';

/** Forms may alternate, such as those of several choices. */
const TEMPLATES_MAX = 4;
/** The longest wait, in events, before the next template is made after ones that no event matched. */
const WAIT_MAX = 63;

/** Templates of a stream's latest events. Making one costs as much as parsing an event, so if they do not match, they are made less often. */
export class TemplateList {
  /** The model in the events that matched last; null: none. */
  model: string | null = null;
  /** The number of events in the last match, the characters of their content, and whether it contains a secret or a part of one. */
  events = 0;
  chars = 0;
  holdsSecret = false;
  /** Latest first. */
  readonly #entries: { readonly template: EventTemplate; readonly model: string | null }[] = [];
  readonly #form: EventForm;
  /** Templates made in a row without a match. */
  #unmatched = 0;
  /** Events to wait before another is made. */
  #wait = 0;

  constructor(form: EventForm) {
    this.#form = form;
  }

  /** The end of the matching events, none longer than `sizeMax`, that begin at `start`; `start` if there are none. */
  match(text: string, start: number, sizeMax: number, secrets: SecretScan | null = null): number {
    const entries = this.#entries;
    for (let i = 0; i < entries.length; i++) {
      const { template, model } = entries[i]!;
      const end = template.match(text, start, sizeMax, secrets);
      if (end === start) continue;
      this.#unmatched = 0;
      this.#wait = 0;
      this.model = model;
      this.events = template.events;
      this.chars = template.chars;
      this.holdsSecret = template.holdsSecret;
      return end;
    }
    return start;
  }

  /** Called for each suitable event that was parsed; true if a template should be made of it. */
  isDue(): boolean {
    if (this.#wait === 0) return true;
    this.#wait--;
    return false;
  }

  /** Makes a template of an event, given completely and as Latin-1. */
  add(block: string, model: string | null): void {
    this.#wait = Math.min(2 ** this.#unmatched - 1, WAIT_MAX);
    this.#unmatched++;
    const template = createEventTemplate(block, this.#form);
    if (template === null) return;
    this.#entries.unshift({ template, model });
    if (this.#entries.length > TEMPLATES_MAX) this.#entries.pop();
  }

  /** Called when the stream has ended. */
  clear(): void {
    this.#entries.length = 0;
  }
}
