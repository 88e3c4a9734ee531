/** A whole response: its texts to be judged and replaced, and its way from and to a stream. All members are kept, known or not. */
import { Buffer } from 'node:buffer';
import type { AnswerChoice } from '../../core/quality.ts';
import { asBuffer, byteOrderMarkLength } from '../bytes.ts';
import type { StreamFold, WantedForm, WholeResponse } from '../dialect.ts';
import { parseExact } from '../json-exact.ts';
import { commasIn } from '../json-outline.ts';
import { isRecord } from '../json-values.ts';
import { recordsIn } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import { choicesOf } from '../model-choices.ts';
import { SseFramer } from '../sse/sse-framer.ts';
import { writeJson } from '../write-json.ts';
import { finishOf, isBlocked, partsOf } from './outcome.ts';
import { parseGeminiResponse } from './parse-response.ts';

/** A larger response, or one of more values, is given in its own form only: a conversion takes one turn of the event loop. */
const CONVERTED_BYTES_MAX = 4 * 1024 * 1024;
const CONVERTED_VALUES_MAX = 200_000;
/** Values in one event, and in all that are folded. */
const EVENT_VALUES_MAX = 100_000;
const VALUES_MAX = 2_000_000;

export function geminiChoices(body: Uint8Array): AnswerChoice[] {
  return choicesOf(parseGeminiResponse(body));
}

/** The first text part of each candidate gets the text; the others, which were judged as a part of it, go. */
export function withGeminiTexts(body: Uint8Array, texts: readonly (string | null)[]): Uint8Array {
  const response = merged(parse(body));
  const candidates = recordsIn(response['candidates']).map((candidate, at) => {
    const text = texts[at] ?? null;
    return text === null ? candidate : withText(candidate, text);
  });
  return Buffer.from(writeJson({ ...response, candidates }));
}

function withText(candidate: Fields, text: string): Fields {
  let isFirst = true;
  const parts = partsOf(candidate).flatMap((part) => {
    if (typeof part['text'] !== 'string' || part['thought'] === true) return [part];
    const kept = isFirst ? [{ ...part, text }] : [];
    isFirst = false;
    return kept;
  });
  return { ...candidate, content: { ...(candidate['content'] as Fields), parts } };
}

/** A whole response as its stream: one event, or one for each chunk of a list. */
export function geminiToStream(body: Uint8Array): Uint8Array {
  return Buffer.from(
    parse(body)
      .map((chunk) => `data: ${writeJson(chunk)}\n\n`)
      .join(''),
  );
}

/** The events of a complete stream as one whole response. */
export function streamToGemini(events: Uint8Array): Uint8Array {
  const fold = new GeminiStreamFold();
  fold.push(events);
  return fold.finish();
}

export class GeminiStreamFold implements StreamFold {
  readonly #chunks: Fields[] = [];
  #values = 0;
  isTooLarge = false;

  push(events: Uint8Array): void {
    const framer = new SseFramer(events.byteLength + 1);
    framer.push(events);
    while (framer.next()) {
      const data = framer.readData();
      if (data === null || !data.trimStart().startsWith('{')) continue;
      const values = commasIn(data, EVENT_VALUES_MAX);
      this.#values += values;
      this.isTooLarge ||= values >= EVENT_VALUES_MAX || this.#values > VALUES_MAX;
      if (this.isTooLarge) return;
      const chunk = parseExact(data);
      if (isRecord(chunk)) this.#chunks.push(chunk);
    }
  }

  finish(): Uint8Array {
    return Buffer.from(writeJson(merged(this.#chunks)));
  }
}

/** Chunks as one response: of each member the last value counts, and the parts of a candidate follow each other. */
function merged(chunks: readonly Fields[]): Fields {
  if (chunks.length === 1) return chunks[0]!;
  const response: Fields = {};
  const candidates = new Map<number, { fields: Fields; readonly parts: Fields[] }>();
  for (const chunk of chunks) {
    Object.assign(response, chunk);
    for (const [position, candidate] of recordsIn(chunk['candidates']).entries()) {
      const index = typeof candidate['index'] === 'number' ? candidate['index'] : position;
      const known = candidates.get(index) ?? { fields: {}, parts: [] };
      candidates.set(index, known);
      known.fields = { ...known.fields, ...candidate };
      for (const part of partsOf(candidate)) addPart(known.parts, part);
    }
  }
  if (candidates.size === 0) return response;
  const list = [...candidates].toSorted(([a], [b]) => a - b);
  return {
    ...response,
    candidates: list.map(([, { fields, parts }]) => ({ ...fields, content: { role: 'model', ...contentOf(fields), parts } })),
  };
}

function contentOf({ content }: Fields): Fields {
  return isRecord(content) ? content : {};
}

/** Text goes on with the text before it, if both are thoughts or both are none; a signature ends what it signs. */
function addPart(parts: Fields[], part: Fields): void {
  const last = parts.at(-1);
  const goesOn = last !== undefined && isPlainText(last) && typeof part['text'] === 'string' && last['thought'] === part['thought'];
  if (!goesOn) parts.push(part);
  else parts[parts.length - 1] = { ...last, ...part, text: `${String(last['text'])}${part['text'] as string}` };
}

function isPlainText(part: Fields): boolean {
  return typeof part['text'] === 'string' && part['thoughtSignature'] === undefined;
}

/** True if `geminiInForm` may be called. */
export function canBeInForm({ body, isStream }: WholeResponse, wanted: WantedForm): boolean {
  if (isStream === wanted.stream) return true;
  return body.byteLength <= CONVERTED_BYTES_MAX && commasIn(body, CONVERTED_VALUES_MAX) < CONVERTED_VALUES_MAX;
}

export function geminiInForm({ body, isStream }: WholeResponse, wanted: WantedForm): Uint8Array {
  if (isStream === wanted.stream) return body;
  return wanted.stream ? geminiToStream(body) : streamToGemini(body);
}

export function isUnfinished(body: Uint8Array): boolean {
  const text = asBuffer(body).toString('utf8', byteOrderMarkLength(body)).trimStart();
  const chunks = text.startsWith('{') || text.startsWith('[') ? parse(body) : parse(streamToGemini(body));
  if (chunks.some(isBlocked)) return true;
  const finishes = chunks.flatMap((chunk) => recordsIn(chunk['candidates'])).map((candidate) => finishOf(candidate, false));
  return finishes.some((finish) => finish === 'length' || finish === 'content_filter' || finish === 'other');
}

/** One response, or the chunks of a list. */
function parse(body: Uint8Array): readonly Fields[] {
  const value = parseExact(asBuffer(body).toString('utf8', byteOrderMarkLength(body)));
  return Array.isArray(value) ? recordsIn(value) : [value as Fields];
}
