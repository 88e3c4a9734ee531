/** Limits on what is parsed in one turn of the event loop: conversions between forms and dialects are synchronous. */
import { asBuffer } from './bytes.ts';
import type { RequestedForm, WholeResponse } from './dialect.ts';
import { commasIn } from './json-outline.ts';
import { SseFramer } from './sse/sse-framer.ts';

/** Bodies up to this size are parsed without counting their values. */
export const SMALL_BYTES_MAX = 256 * 1024;
/** A larger response is available only in its own form. */
const FORM_BYTES_MAX = 4 * 1024 * 1024;
const FORM_VALUES_MAX = 200_000;
/** Values in a response that is converted to another dialect: about half a second of parsing and writing. */
const CONVERTED_VALUES_MAX = 500_000;
/** Values in one event, and in all events folded into one response. */
const EVENT_VALUES_MAX = 100_000;
const FOLDED_VALUES_MAX = 2_000_000;

/** True if the response has, or can be converted to, the requested form; `isSame`: it has it. */
export function fitsForm({ body }: WholeResponse, isSame: boolean): boolean {
  if (isSame || body.byteLength <= SMALL_BYTES_MAX) return true;
  return body.byteLength <= FORM_BYTES_MAX && commasIn(body, FORM_VALUES_MAX) < FORM_VALUES_MAX;
}

/** As `fitsForm`, for dialects whose streams always report their usage. */
export function canConvertForm(response: WholeResponse, requested: RequestedForm): boolean {
  return fitsForm(response, response.isStream === requested.stream);
}

/** True if the bytes may be converted to another dialect. */
export function isConvertible(body: Uint8Array): boolean {
  return body.byteLength <= SMALL_BYTES_MAX || commasIn(body, CONVERTED_VALUES_MAX) < CONVERTED_VALUES_MAX;
}

/** Counts the values of folded events. */
export class FoldBudget {
  #values = 0;

  /** False: the event exceeds a bound. */
  allows(data: string): boolean {
    const values = commasIn(data, EVENT_VALUES_MAX);
    this.#values += values;
    return values < EVENT_VALUES_MAX && this.#values <= FOLDED_VALUES_MAX;
  }
}

/** The JSON objects of a complete stream. */
export function* objectsIn(events: Uint8Array): Generator<string> {
  const framer = new SseFramer(asBuffer(events).byteLength + 1);
  framer.push(events);
  while (framer.next()) {
    const data = framer.readData();
    if (data !== null && data.trimStart().startsWith('{')) yield data;
  }
}
