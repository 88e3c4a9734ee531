/**
 * What Storm says: words, an echo, JSON, or a tool call. It depends on the seed, the model and the prompt alone, so the
 * same request is answered alike by every Storm with the same seed.
 */
import type { Random } from '../core/random.ts';
import { createSeededRandom, hashNumbers, hashText } from './chance.ts';
import { carryOn, proseFor } from './continuation.ts';
import { instanceOf } from './schema-instance.ts';

/** What a request asks to be generated. */
export interface Prompt {
  /** The last thing that the user said. `echo ` at its start asks for the rest back, `prose LANGUAGE SEED` for such. */
  text: string;
  /** The last message is the assistant's own: what it says so far. */
  partial?: string;
  /** Number of choices, at least 1. */
  choices: number;
  /** JSON is wanted; with a schema where one was given. */
  json?: { schema: unknown };
  /** A call of this tool is wanted. */
  tool?: { name: string; parameters: unknown };
  /** Names of the tools that may be called. `call NAME {…}` on a line of the text asks for one of them. */
  offered?: readonly string[];
  /** The last turn is the result of a call, so no further one is made for the same text. */
  isAfterResult?: boolean;
  /** The model shall reason before it answers. */
  reasons?: boolean;
}

export type Finish = 'stop' | 'length' | 'tool' | 'filter' | 'none';

/** A call of a tool: its arguments in pieces. */
export interface ToolCall {
  tool: string;
  pieces: string[];
}

/** One answer, in pieces: a piece is a token, and is an event of its own in a stream. */
export interface Choice {
  /** `text`, a `refusal` or the arguments of a `tool` call; `null` is an answer without content, `absent` no answer at all. */
  kind: 'text' | 'refusal' | 'tool' | 'null' | 'absent';
  pieces: string[];
  tool?: string;
  /** Further calls beside the first. */
  others?: readonly ToolCall[];
  finish: Finish;
  /** Why it ended, in the dialect's own word, instead of the word for `finish`. */
  reason?: string;
  /** The prompt was blocked, for this reason: dialects that cannot say so end as for a content filter. */
  blocked?: string;
  /** Reasoning that comes before the content, in pieces. */
  thoughts?: string[];
}

/** What a model thinks that is asked to reason, in pieces. */
export const THOUGHTS = ['The', ' user', ' asks', ' about', ' the', ' storm', '.'];

const WORDS = (
  'the storm came over the harbour before dawn and every boat that lay at anchor turned its bow to the wind while ' +
  'waves broke against the wall of stone which men had built there long ago to keep calm water for those who needed it ' +
  'so the small ships waited and none was lost because the keeper of the light had seen clouds gather in time'
).split(' ');

/** Makes the choices that answer a prompt. `length` draws the number of tokens of an answer; `bound` is the caller's limit. */
export function speak(
  prompt: Prompt,
  model: string,
  seed: number,
  length: (random: Random) => number,
  bound: number | undefined,
): Choice[] {
  const base = hashText(prompt.text, hashText(model, seed));
  return Array.from({ length: prompt.choices }, (_, index) => {
    const random = createSeededRandom(hashNumbers(base, index));
    if (prompt.partial === undefined) return cutToBound(reasoned(prompt, oneChoice(prompt, random, length, bound)), bound);
    const whole = oneChoice(prompt, random, length, undefined);
    const partial = { whole: whole.pieces.join(''), told: prompt.partial, prompt: prompt.text };
    return cutToBound({ ...whole, pieces: toPieces(carryOn(partial, model)) }, bound);
  });
}

function reasoned(prompt: Prompt, choice: Choice): Choice {
  return prompt.reasons === true ? { ...choice, thoughts: THOUGHTS } : choice;
}

function oneChoice(prompt: Prompt, random: Random, length: (random: Random) => number, bound: number | undefined): Choice {
  if (prompt.tool !== undefined) {
    const text = JSON.stringify(instanceOf(prompt.tool.parameters, random));
    return { kind: 'tool', tool: prompt.tool.name, pieces: toPieces(text), finish: 'tool' };
  }
  const call = wishedCall(prompt);
  if (call !== undefined) return call;
  if (prompt.text.startsWith('echo ')) return { kind: 'text', pieces: toPieces(prompt.text.slice(5)), finish: 'stop' };
  const prose = proseFor(prompt.text);
  if (prose !== null) return { kind: 'text', pieces: toPieces(prose), finish: 'stop' };
  if (prompt.json !== undefined) {
    const schema = prompt.json.schema ?? { type: 'object', properties: { answer: { type: 'string' } } };
    return { kind: 'text', pieces: toPieces(JSON.stringify(instanceOf(schema, random))), finish: 'stop' };
  }
  const wanted = Math.max(1, Math.round(length(random)));
  // One piece more than the bound shows `cutToBound` that something was left out.
  return { kind: 'text', pieces: words(Math.min(wanted, (bound ?? wanted) + 1), random), finish: 'stop' };
}

const CALL = /(?:^|\n)call (\S+) (\{.*\}|".*")[ \t]*(?=\n|$)/g;

/** The calls that lines of the text ask for, if their tools are offered and their arguments are JSON. */
function wishedCall({ text, offered = [], isAfterResult }: Prompt): Choice | undefined {
  if (isAfterResult === true || offered.length === 0) return undefined;
  const calls = [...text.matchAll(CALL)].flatMap(([, tool = '', json = '']): ToolCall[] => {
    const args = offered.includes(tool) ? compact(json) : undefined;
    return args === undefined ? [] : [{ tool, pieces: toPieces(args) }];
  });
  const [first, ...others] = calls;
  return first === undefined ? undefined : { kind: 'tool', ...first, others, finish: 'tool' };
}

/** A text is the input of a custom tool, as it is. */
function compact(json: string): string | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'string' ? value : JSON.stringify(value);
  } catch {
    return undefined;
  }
}

/** The calls of a choice, in their order; none where it is no call. */
export function callsOf({ kind, tool = '', pieces, others = [] }: Choice): readonly ToolCall[] {
  return kind === 'tool' ? [{ tool, pieces }, ...others] : [];
}

function words(count: number, random: Random): string[] {
  const pieces = new Array<string>(count);
  let at = Math.floor(random.next() * WORDS.length);
  for (let index = 0; index < count; index++) {
    const word = WORDS[at % WORDS.length]!;
    // A stride that changes keeps the text from repeating itself.
    at += index % 7 === 6 ? 1 + Math.floor(random.next() * WORDS.length) : 1;
    pieces[index] = index === 0 ? word[0]!.toUpperCase() + word.slice(1) : ` ${word}`;
  }
  pieces[count - 1] += '.';
  return pieces;
}

/** Cuts a text into pieces of about four characters, as tokens are. Never inside a surrogate pair. */
export function toPieces(text: string): string[] {
  return text.match(/\s*\S{1,4}|\s+$/gu) ?? [];
}

/** An answer longer than the caller's bound ends there, with finish `length`; its reasoning counts. */
export function cutToBound(choice: Choice, bound: number | undefined): Choice {
  if (bound === undefined || countTokens([choice]) <= bound) return choice;
  let left = Math.max(0, bound);
  const cut = (pieces: string[]): string[] => {
    const kept = pieces.slice(0, left);
    left -= kept.length;
    return kept;
  };
  const result: Choice = { ...choice, finish: 'length' };
  if (choice.thoughts !== undefined) result.thoughts = cut(choice.thoughts);
  result.pieces = cut(choice.pieces);
  // A call of which nothing is left was not begun.
  if (choice.others !== undefined)
    result.others = choice.others.flatMap((call) => (left > 0 ? [{ ...call, pieces: cut(call.pieces) }] : []));
  return result;
}

/** The tokens of all choices together, reasoning included. */
export function countTokens(choices: readonly Choice[]): number {
  let sum = countReasoning(choices);
  for (const { pieces, others = [] } of choices) {
    sum += pieces.length;
    for (const call of others) sum += call.pieces.length;
  }
  return sum;
}

/** The tokens of reasoning in all choices together. */
export function countReasoning(choices: readonly Choice[]): number {
  let sum = 0;
  for (const choice of choices) sum += choice.thoughts?.length ?? 0;
  return sum;
}
