/** Writes the lines of a batch file: from requests, from prompts, and from rows and a template. */
import { isRecord } from '../../core/json.ts';
import { numberIn } from '../../wire/json-exact.ts';
import { OperatorError } from '../fail.ts';

export const CHAT = '/v1/chat/completions';

/** A placeholder of a template. */
const PLACE = /\{\{\s*([^{}]+?)\s*\}\}/g;
/** Columns that are shown of a row. */
const SHOWN_MAX = 20;

export type Row = Readonly<Record<string, unknown>>;

/** Where a request is in the user's file. */
export interface Place {
  /** `line 3`, `row 2`, or the name of a file in a folder. */
  readonly from: string;
  /** Counted from 1; null if the request is a whole file. */
  readonly line: number | null;
}

export interface InputLine extends Place {
  readonly text: string;
  /** Derived from its URL. */
  readonly endpoint: string;
  /** Null if it is missing or not a string, which the gateway refuses. */
  readonly customId: string | null;
}

export interface LineOptions {
  /** Model of requests that name none; null if every request must name one. */
  readonly model: string | null;
  readonly template: string | null;
  readonly system: string | null;
  readonly maxTokens: number | null;
}

export class LineWriter {
  /** Names of the placeholders. */
  readonly places: readonly string[];
  readonly #options: LineOptions;

  constructor(options: LineOptions) {
    this.#options = options;
    this.places = [...(options.template ?? '').matchAll(PLACE)].map(([, name]) => name!);
    if (options.template !== null && this.places.length === 0)
      throw new OperatorError(['--template: contains no {{COLUMN}}, so all prompts would be the same']);
  }

  get hasTemplate(): boolean {
    return this.#options.template !== null;
  }

  request(row: Row, place: Place): InputLine {
    const { model } = this.#options;
    const { body, custom_id: id } = row;
    const isIncomplete = isObject(body) && !('model' in body) && model !== null;
    const whole = isIncomplete ? { ...row, body: { model, ...body } } : row;
    return { ...place, text: JSON.stringify(whole), endpoint: String(row['url']), customId: typeof id === 'string' ? id : null };
  }

  /** Formats a row of named columns, one of which may be the request's id. */
  row(values: Row, fallbackId: string, place: Place): InputLine {
    const id = idText(values['custom_id'] ?? values['id']);
    return this.prompt(values, typeof id === 'string' && id !== '' ? id : fallbackId, place);
  }

  prompt(values: Row, customId: string, place: Place): InputLine {
    const { model, template, system, maxTokens } = this.#options;
    if (model === null) throw new OperatorError(['several models are configured: choose one with --model']);
    const content = template === null ? String(values['text']) : fill(template, values, place.from);
    const messages = [...(system === null ? [] : [{ role: 'system', content: system }]), { role: 'user', content }];
    const body = { model, messages, ...(maxTokens !== null && { max_tokens: maxTokens }) };
    return { ...place, text: JSON.stringify({ custom_id: customId, method: 'POST', url: CHAT, body }), endpoint: CHAT, customId };
  }
}

/** An object of JSON; a number with exact digits is none. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return isRecord(value) && numberIn(value) === null;
}

/** A number as text, with its digits; anything else as it is. */
export function idText(id: unknown): unknown {
  return numberIn(id) === null ? id : JSON.stringify(id);
}

function fill(template: string, values: Row, from: string): string {
  return template.replaceAll(PLACE, (_, name: string) => {
    if (!Object.hasOwn(values, name)) {
      throw new OperatorError([
        `${from} has no ${JSON.stringify(name)} for the template; it has ${Object.keys(values).slice(0, SHOWN_MAX).join(', ')}`,
      ]);
    }
    return textOf(values[name]);
  });
}

/** A string as it is, null as an empty text, anything else as JSON whose numbers keep their digits. */
function textOf(value: unknown): string {
  if (value === null) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
