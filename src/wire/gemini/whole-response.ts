/** Non-streaming responses: reads and replaces their texts, converts them to and from streams. Unknown members are preserved. */
import { Buffer } from 'node:buffer';
import { isRecord } from '../../core/json.ts';
import type { AnswerChoice } from '../../core/quality.ts';
import { asBuffer, byteOrderMarkLength } from '../bytes.ts';
import type { StreamFold, RequestedForm, WholeResponse } from '../dialect.ts';
import { parseExact } from '../json-exact.ts';
import type { JsonOutline } from '../json-outline.ts';
import { recordsIn } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import { choicesOf } from '../model-choices.ts';
import { FoldBudget, isConvertible, objectsIn, SMALL_BYTES_MAX } from '../parse-limits.ts';
import { writeJson } from '../write-json.ts';
import { finishOf, isBlocked, partsOf } from './outcome.ts';
import { modelOf, parseGeminiResponse } from './parse-response.ts';

export function geminiChoices(body: Uint8Array, outline: JsonOutline | null = null): AnswerChoice[] {
  if (body.byteLength <= SMALL_BYTES_MAX || outline === null) return choicesOf(parseGeminiResponse(body));
  const value = outline.parse();
  return choicesOf(modelOf(Array.isArray(value) ? recordsIn(value) : isRecord(value) ? [value] : []));
}

/** The first text part of each candidate gets its text; the other text parts, which it replaces, are removed. */
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

/** The stream equivalent to a response: one event, or one per chunk of a list. */
export function geminiToStream(body: Uint8Array): Uint8Array {
  return Buffer.from(
    parse(body)
      .map((chunk) => `data: ${writeJson(chunk)}\n\n`)
      .join(''),
  );
}

/** The response equivalent to a complete stream. */
export function streamToGemini(events: Uint8Array): Uint8Array {
  const fold = new GeminiStreamFold();
  fold.push(events);
  return fold.finish();
}

export class GeminiStreamFold implements StreamFold {
  readonly #chunks: Fields[] = [];
  readonly #budget = new FoldBudget();
  isTooLarge = false;

  push(events: Uint8Array): void {
    for (const data of objectsIn(events)) {
      this.isTooLarge ||= !this.#budget.allows(data);
      if (this.isTooLarge) return;
      const chunk = parseExact(data);
      if (isRecord(chunk)) this.#chunks.push(chunk);
    }
  }

  finish(): Uint8Array {
    return Buffer.from(writeJson(merged(this.#chunks)));
  }
}

/** Merges chunks into one response: the last value of each member wins, and a candidate's parts are concatenated. */
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

/** Adjacent text parts are joined if both or neither are reasoning; a signature ends the part that it signs. */
function addPart(parts: Fields[], part: Fields): void {
  const last = parts.at(-1);
  const goesOn = last !== undefined && isPlainText(last) && typeof part['text'] === 'string' && last['thought'] === part['thought'];
  if (!goesOn) parts.push(part);
  else parts[parts.length - 1] = { ...last, ...part, text: `${String(last['text'])}${part['text'] as string}` };
}

function isPlainText(part: Fields): boolean {
  return typeof part['text'] === 'string' && part['thoughtSignature'] === undefined;
}

export function geminiInForm({ body, isStream }: WholeResponse, wanted: RequestedForm): Uint8Array {
  if (isStream === wanted.stream) return body;
  return wanted.stream ? geminiToStream(body) : streamToGemini(body);
}

/** True if a candidate was cut off or filtered, or the response is too large to check. */
export function isUnfinished(body: Uint8Array): boolean {
  if (!isConvertible(body)) return true;
  const text = asBuffer(body).toString('utf8', byteOrderMarkLength(body)).trimStart();
  const chunks = text.startsWith('{') || text.startsWith('[') ? parse(body) : parse(streamToGemini(body));
  if (chunks.some(isBlocked)) return true;
  const finishes = chunks.flatMap((chunk) => recordsIn(chunk['candidates'])).map((candidate) => finishOf(candidate, false));
  return finishes.some((finish) => finish === 'length' || finish === 'content_filter' || finish === 'other');
}

/** A single response, or the chunks of a list. */
function parse(body: Uint8Array): readonly Fields[] {
  const value = parseExact(asBuffer(body).toString('utf8', byteOrderMarkLength(body)));
  return Array.isArray(value) ? recordsIn(value) : [value as Fields];
}
