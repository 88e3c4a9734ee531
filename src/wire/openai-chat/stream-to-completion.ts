/**
 * Some servers respond to a non-streaming request with a stream of events. Converts it to the requested JSON text: fragments are joined as
 * the official clients join them; of everything else the last value is used.
 */
import { Buffer } from 'node:buffer';
import { isRecord } from '../../core/json.ts';
import { isFilledCall, joinedName } from './called-tool.ts';
import { FoldBudget, objectsIn } from '../parse-limits.ts';
import { writeJson } from '../write-json.ts';

type Fields = Record<string, unknown>;

/** Members repeated with each delta, or sent at once: the last value counts. All other strings are fragments to be joined. */
const LAST_VALUE_COUNTS: ReadonlySet<string> = new Set(['role', 'type', 'id', 'index', 'name', 'format', 'call_id', 'expires_at']);
/** Members that concern one event only. */
const EVENT_ONLY: ReadonlySet<string> = new Set(['choices', 'usage', 'object', 'obfuscation']);
/** Members whose first value counts: some servers generate new ones for every event. */
const FIRST_VALUE_COUNTS: ReadonlySet<string> = new Set(['id', 'created']);

/** Deeper inside an event the last value counts: no provider nests fragments, and recursion must be bounded. */
const NESTING_MAX = 20;

/** `events`: those of a complete stream, in order. `readChatResponse` classifies the result. */
export function streamToCompletion(events: Uint8Array): Uint8Array {
  const fold = new StreamFold();
  fold.push(events);
  return fold.finish();
}

/** The same, as the events arrive. */
export class StreamFold {
  readonly #fold = new ResponseFold();
  readonly #budget = new FoldBudget();
  /** The stream is too large to fold, and the result is incomplete. */
  isTooLarge = false;

  /** `events`: complete ones. */
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

class ResponseFold {
  readonly #head: Fields = fields();
  readonly #choices = new Map<number, ChoiceFold>();
  #usage: unknown;
  #isText = false;

  add(chunk: Fields): void {
    for (const [name, value] of Object.entries(chunk)) {
      if (EVENT_ONLY.has(name) || isNothing(value)) continue;
      if (!FIRST_VALUE_COUNTS.has(name) || isNothing(this.#head[name])) this.#head[name] = value;
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
    const response = { ...this.#head, object: isText ? 'text_completion' : 'chat.completion', choices };
    return this.#usage === undefined ? response : { ...response, usage: this.#usage };
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
    const members = delta ?? message;
    if (!isRecord(members)) return;
    const { tool_calls: calls, ...others } = members;
    if (Array.isArray(calls)) for (const call of calls) if (isRecord(call)) this.#calls.add(call);
    join(this.#message, others);
  }

  finish(isText: boolean): Fields {
    const logprobs = this.#logprobs;
    const calls = this.#calls.finish();
    const hasCall = calls.length > 0 || isFilledCall(this.#message['function_call']);
    // A complete stream without a finish reason has ended normally.
    const end = { logprobs, finish_reason: this.#finish ?? (hasCall ? 'tool_calls' : 'stop') };
    if (isText) return { index: this.index, text: this.#text ?? '', ...this.#rest, ...end };
    const { content = null } = this.#message;
    const message = { role: 'assistant', ...this.#message, content: content === '' && hasCall ? null : content, refusal: null };
    if (typeof this.#message['refusal'] === 'string') Object.assign(message, { refusal: this.#message['refusal'] });
    return { index: this.index, message: calls.length === 0 ? message : { ...message, tool_calls: calls }, ...this.#rest, ...end };
  }
}

/** Tool calls by index; if a server sends no index, or the same for all, a new id begins a new call. */
class CallList {
  readonly #calls: Fields[] = [];
  readonly #byIndex = new Map<unknown, Fields>();
  #last: Fields | null = null;

  add(delta: Fields): void {
    const { index, ...members } = delta;
    const known = typeof index === 'number' ? (this.#byIndex.get(index) ?? null) : this.#last;
    const call = known === null || isOther(known, members) ? this.#begin() : known;
    if (typeof index === 'number') this.#byIndex.set(index, call);
    this.#last = call;
    join(call, members);
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

/** Adds the members of a delta to `known`. */
function join(known: Fields, delta: Fields, depth = NESTING_MAX): void {
  for (const [name, value] of Object.entries(delta)) {
    // Names come from outside: this one would change the object's prototype.
    if (isNothing(value) || name === '__proto__') continue;
    if (name === 'name' && typeof known[name] === 'string' && typeof value === 'string') known[name] = joinedName(known[name], value);
    else known[name] = LAST_VALUE_COUNTS.has(name) ? lastValue(known[name], value) : joined(known[name], value, depth);
  }
}

function lastValue(known: unknown, value: unknown): unknown {
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

/** Items with the same index are joined; all others are appended. */
function joinedLists(known: unknown[], more: readonly unknown[], depth: number): unknown[] {
  for (const item of more) {
    const last: unknown = known.at(-1);
    const continues = depth > 0 && isRecord(item) && isRecord(last) && typeof item['index'] === 'number' && item['index'] === last['index'];
    if (continues) join(last, item, depth - 1);
    else known.push(item);
  }
  return known;
}

function textPart(text: string): Fields {
  return { type: 'text', text };
}

/** Without a prototype, whose members could be taken for received ones. */
function fields(): Fields {
  return Object.create(null) as Fields;
}

function isNothing(value: unknown): boolean {
  return value === null || value === undefined;
}
