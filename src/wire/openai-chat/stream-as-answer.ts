/**
 * Some servers answer a plain request with a stream of events. The same answer as the one JSON text that was asked for: fragments
 * joined as the official clients join them, everything else kept as it came last.
 */
import { Buffer } from 'node:buffer';
import { isRecord } from '../json-values.ts';
import { isFilledCall } from './called-tool.ts';
import { FoldBudget, objectsIn } from '../whole-bounds.ts';
import { writeJson } from '../write-json.ts';

type Fields = Record<string, unknown>;

/** Said anew with each delta, or in one piece: the last word counts. All other strings are fragments, to be joined. */
const WHOLE: ReadonlySet<string> = new Set(['role', 'type', 'id', 'index', 'name', 'format', 'call_id', 'expires_at']);
/** Of one event alone. */
const OF_THE_EVENT: ReadonlySet<string> = new Set(['choices', 'usage', 'object', 'obfuscation']);
/** The first event names them; some servers make up new ones for every event. */
const SAID_FIRST: ReadonlySet<string> = new Set(['id', 'created']);

/** Deeper inside what an event says, the last word counts: no provider nests fragments, and the joining must end. */
const NESTING_MAX = 20;

/** `events`: whole events that a stream reader has found complete, in order. The result is for `readAnswer` to judge. */
export function streamAsAnswer(events: Uint8Array): Uint8Array {
  const fold = new StreamFold();
  fold.push(events);
  return fold.finish();
}

/** The same, given the events as they come. */
export class StreamFold {
  readonly #fold = new AnswerFold();
  readonly #budget = new FoldBudget();
  /** It holds more than is made one answer: what was folded is not all of it. */
  isTooLarge = false;

  /** `events`: whole ones. */
  push(events: Uint8Array): void {
    for (const data of objectsIn(events)) {
      this.isTooLarge ||= !this.#budget.allows(data);
      if (this.isTooLarge) return;
      const chunk: unknown = JSON.parse(data);
      if (isRecord(chunk)) this.#fold.add(chunk);
    }
  }

  finish(): Uint8Array {
    return Buffer.from(writeJson(this.#fold.finish()));
  }
}

class AnswerFold {
  readonly #head: Fields = fields();
  readonly #choices = new Map<number, ChoiceFold>();
  #usage: unknown;
  #isText = false;

  add(chunk: Fields): void {
    for (const [name, value] of Object.entries(chunk)) {
      if (OF_THE_EVENT.has(name) || isNothing(value)) continue;
      if (!SAID_FIRST.has(name) || isNothing(this.#head[name])) this.#head[name] = value;
    }
    if (isRecord(chunk['usage'])) this.#usage = chunk['usage'];
    this.#isText ||= chunk['object'] === 'text_completion';
    const choices: unknown[] = Array.isArray(chunk['choices']) ? chunk['choices'] : [];
    for (const [position, choice] of choices.entries()) {
      if (!isRecord(choice)) continue;
      const index = typeof choice['index'] === 'number' ? choice['index'] : position;
      let known = this.#choices.get(index);
      if (known === undefined) this.#choices.set(index, (known = new ChoiceFold(index)));
      known.add(choice);
    }
  }

  finish(): Fields {
    const isText = this.#isText || [...this.#choices.values()].some((choice) => choice.isText);
    const choices = [...this.#choices.values()].toSorted((a, b) => a.index - b.index).map((choice) => choice.finish(isText));
    const answer = { ...this.#head, object: isText ? 'text_completion' : 'chat.completion', choices };
    return this.#usage === undefined ? answer : { ...answer, usage: this.#usage };
  }
}

class ChoiceFold {
  readonly index: number;
  readonly #rest: Fields = fields();
  readonly #message: Fields = fields();
  readonly #calls = new CallList();
  #logprobs: Fields | null = null;
  #text: string | null = null;
  #finish: string | null = null;

  constructor(index: number) {
    this.index = index;
  }

  get isText(): boolean {
    return this.#text !== null;
  }

  add(choice: Fields): void {
    const { index: _, delta, message, text, logprobs, finish_reason: finish, ...rest } = choice;
    for (const [name, value] of Object.entries(rest)) if (!isNothing(value)) this.#rest[name] = value;
    if (typeof text === 'string') this.#text = (this.#text ?? '') + text;
    if (typeof finish === 'string' && finish !== '') this.#finish = finish;
    if (isRecord(logprobs)) join((this.#logprobs ??= fields()), logprobs);
    const said = delta ?? message;
    if (!isRecord(said)) return;
    const { tool_calls: calls, ...words } = said;
    if (Array.isArray(calls)) for (const call of calls) if (isRecord(call)) this.#calls.add(call);
    join(this.#message, words);
  }

  finish(isText: boolean): Fields {
    const logprobs = this.#logprobs;
    const calls = this.#calls.finish();
    const hasCall = calls.length > 0 || isFilledCall(this.#message['function_call']);
    // A stream that was ended in good order without saying why has simply come to its end.
    const end = { logprobs, finish_reason: this.#finish ?? (hasCall ? 'tool_calls' : 'stop') };
    if (isText) return { index: this.index, text: this.#text ?? '', ...this.#rest, ...end };
    const { content = null } = this.#message;
    const message = { role: 'assistant', ...this.#message, content: content === '' && hasCall ? null : content, refusal: null };
    if (typeof this.#message['refusal'] === 'string') Object.assign(message, { refusal: this.#message['refusal'] });
    return { index: this.index, message: calls.length === 0 ? message : { ...message, tool_calls: calls }, ...this.#rest, ...end };
  }
}

/** Tool calls by their index; where a server gives none, or the same to all, a new id begins a new call. */
class CallList {
  readonly #calls: Fields[] = [];
  readonly #byIndex = new Map<unknown, Fields>();
  #last: Fields | null = null;

  add(delta: Fields): void {
    const { index, ...said } = delta;
    const known = typeof index === 'number' ? (this.#byIndex.get(index) ?? null) : this.#last;
    const call = known === null || isOther(known, said) ? this.#begin() : known;
    if (typeof index === 'number') this.#byIndex.set(index, call);
    this.#last = call;
    join(call, said);
  }

  finish(): Fields[] {
    return this.#calls;
  }

  #begin(): Fields {
    const call = fields();
    this.#calls.push(call);
    return call;
  }
}

function isOther(call: Fields, delta: Fields): boolean {
  const id = delta['id'];
  return typeof id === 'string' && id !== '' && call['id'] !== undefined && call['id'] !== id;
}

/** Adds what a delta says to what was said before. */
function join(known: Fields, delta: Fields, depth = NESTING_MAX): void {
  for (const [name, value] of Object.entries(delta)) {
    // Names come from outside: this one would reach what all objects share.
    if (isNothing(value) || name === '__proto__') continue;
    known[name] = WHOLE.has(name) ? lastWord(known[name], value) : joined(known[name], value, depth);
  }
}

function lastWord(known: unknown, value: unknown): unknown {
  return value === '' && known !== undefined ? known : value;
}

function joined(known: unknown, value: unknown, depth: number): unknown {
  if (typeof value === 'string') {
    if (typeof known === 'string') return known + value;
    if (Array.isArray(known)) return value === '' ? known : joinedLists(known, [textPart(value)], depth);
    return value;
  }
  if (Array.isArray(value)) {
    if (typeof known === 'string') return joinedLists(known === '' ? [] : [textPart(known)], value, depth);
    return joinedLists(Array.isArray(known) ? known : [], value, depth);
  }
  if (depth === 0 || !isRecord(value) || !isRecord(known)) return value;
  join(known, value, depth - 1);
  return known;
}

/** Items with an index go on where they left off; all others follow each other. */
function joinedLists(known: unknown[], more: readonly unknown[], depth: number): unknown[] {
  for (const item of more) {
    const last: unknown = known.at(-1);
    const goesOn = depth > 0 && isRecord(item) && isRecord(last) && typeof item['index'] === 'number' && item['index'] === last['index'];
    if (goesOn) join(last, item, depth - 1);
    else known.push(item);
  }
  return known;
}

function textPart(text: string): Fields {
  return { type: 'text', text };
}

/** Without a prototype, whose names could be taken for what was said. */
function fields(): Fields {
  return Object.create(null) as Fields;
}

function isNothing(value: unknown): boolean {
  return value === null || value === undefined;
}
