/**
 * Generates content: words, an echo, JSON, or tool calls. It depends only on the seed, the model and the prompt, so
 * every Storm with the same seed responds alike to the same request.
 */
import { parseOrUndefined } from '../core/json.ts';
import type { Random } from '../core/random.ts';
import { createSeededRandom, hashNumbers, hashText } from './random.ts';
import { continueText, proseFor } from './continuation.ts';
import { instanceOf } from './schema-instance.ts';

/** What a request asks Storm to generate. */
export interface Prompt {
  /** Text of the last user message. `echo TEXT` returns TEXT; `prose LANGUAGE SEED` returns prose. */
  text: string;
  /** Text of a final assistant message, to be continued. */
  partial?: string;
  /** Number of choices, at least 1. */
  choices: number;
  /** Requests JSON, matching the schema if there is one. */
  json?: { schema: unknown };
  /** Requests a call of this tool. */
  tool?: { name: string; parameters: unknown };
  /** Names of callable tools. A line `call NAME {…}` in the text calls one of them. */
  offered?: readonly string[];
  /** The last turn is a tool result, so the text triggers no further call. */
  isAfterResult?: boolean;
  /** Whether the model reasons before it responds. */
  reasons?: boolean;
}

export type Finish = 'stop' | 'length' | 'tool' | 'filter' | 'none';

/** A tool call; its arguments as deltas. */
export interface ToolCall {
  tool: string;
  deltas: string[];
}

/** One choice as deltas: each is a token, and a separate event in a stream. */
export interface Choice {
  /** `text`, a `refusal` or the arguments of a `tool` call; `null` has null content, `absent` no response at all. */
  kind: 'text' | 'refusal' | 'tool' | 'null' | 'absent';
  deltas: string[];
  tool?: string;
  /** Further calls after the first. */
  others?: readonly ToolCall[];
  finish: Finish;
  /** Finish reason in the dialect's own vocabulary; overrides the word for `finish`. */
  reason?: string;
  /** The prompt is blocked for this reason; dialects without such a field report a content filter. */
  blocked?: string;
  /** Reasoning before the content, as deltas. */
  reasoning?: string[];
}

/** Reasoning of models that are asked to reason, as deltas. */
export const REASONING = ['The', ' user', ' asks', ' about', ' the', ' storm', '.'];

const WORDS = (
  'the storm came over the harbour before dawn and every boat that lay at anchor turned its bow to the wind while ' +
  'waves broke against the wall of stone which men had built there long ago to keep calm water for those who needed it ' +
  'so the small ships waited and none was lost because the keeper of the light had seen clouds gather in time'
).split(' ');

/** Generates the choices for a prompt. `length` samples the number of tokens; `outputLimit` is the caller's output limit. */
export function generateChoices(
  prompt: Prompt,
  model: string,
  seed: number,
  length: (random: Random) => number,
  outputLimit: number | undefined,
): Choice[] {
  const base = hashText(prompt.text, hashText(model, seed));
  return Array.from({ length: prompt.choices }, (_, index) => {
    const random = createSeededRandom(hashNumbers(base, index));
    if (prompt.partial === undefined) return cutToLimit(reasoned(prompt, oneChoice(prompt, random, length, outputLimit)), outputLimit);
    const whole = oneChoice(prompt, random, length, undefined);
    const partial = { whole: whole.deltas.join(''), text: prompt.partial, prompt: prompt.text };
    return cutToLimit({ ...whole, deltas: toTokens(continueText(partial, model)) }, outputLimit);
  });
}

function reasoned(prompt: Prompt, choice: Choice): Choice {
  return prompt.reasons === true ? { ...choice, reasoning: REASONING } : choice;
}

function oneChoice(prompt: Prompt, random: Random, length: (random: Random) => number, outputLimit: number | undefined): Choice {
  if (prompt.tool !== undefined) {
    const text = JSON.stringify(instanceOf(prompt.tool.parameters, random));
    return { kind: 'tool', tool: prompt.tool.name, deltas: toTokens(text), finish: 'tool' };
  }
  const call = requestedCall(prompt);
  if (call !== undefined) return call;
  if (prompt.text.startsWith('echo ')) return { kind: 'text', deltas: toTokens(prompt.text.slice(5)), finish: 'stop' };
  const prose = proseFor(prompt.text);
  if (prose !== null) return { kind: 'text', deltas: toTokens(prose), finish: 'stop' };
  if (prompt.json !== undefined) {
    const schema = prompt.json.schema ?? { type: 'object', properties: { answer: { type: 'string' } } };
    return { kind: 'text', deltas: toTokens(JSON.stringify(instanceOf(schema, random))), finish: 'stop' };
  }
  const wanted = Math.max(1, Math.round(length(random)));
  // One token beyond the limit lets `cutToLimit` detect the truncation.
  return { kind: 'text', deltas: words(Math.min(wanted, (outputLimit ?? wanted) + 1), random), finish: 'stop' };
}

const CALL = /(?:^|\n)call (\S+) (\{.*\}|".*")[ \t]*(?=\n|$)/g;

/** The calls requested by lines of the text, if their tools are available and their arguments are JSON. */
function requestedCall({ text, offered = [], isAfterResult }: Prompt): Choice | undefined {
  if (isAfterResult === true || offered.length === 0) return undefined;
  const calls = [...text.matchAll(CALL)].flatMap(([, tool = '', json = '']): ToolCall[] => {
    const args = offered.includes(tool) ? compact(json) : undefined;
    return args === undefined ? [] : [{ tool, deltas: toTokens(args) }];
  });
  const [first, ...others] = calls;
  return first === undefined ? undefined : { kind: 'tool', ...first, others, finish: 'tool' };
}

/** Compacts JSON. A JSON string is the input of a custom tool, returned as it is. */
function compact(json: string): string | undefined {
  const value = parseOrUndefined(json);
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** The calls of a choice in order; empty if it is not a call. */
export function callsOf({ kind, tool = '', deltas, others = [] }: Choice): readonly ToolCall[] {
  return kind === 'tool' ? [{ tool, deltas }, ...others] : [];
}

/** The arguments of a call; empty if it was truncated at the output limit and is not JSON. */
export function argumentsOf(deltas: readonly string[]): unknown {
  return parseOrUndefined(deltas.join('')) ?? {};
}

function words(count: number, random: Random): string[] {
  const deltas = new Array<string>(count);
  let at = Math.floor(random.next() * WORDS.length);
  for (let index = 0; index < count; index++) {
    const word = WORDS[at % WORDS.length]!;
    // A varying stride avoids repetition.
    at += index % 7 === 6 ? 1 + Math.floor(random.next() * WORDS.length) : 1;
    deltas[index] = index === 0 ? word[0]!.toUpperCase() + word.slice(1) : ` ${word}`;
  }
  deltas[count - 1] += '.';
  return deltas;
}

/** Splits text into tokens of about four characters, never inside a surrogate pair. */
export function toTokens(text: string): string[] {
  return text.match(/\s*\S{1,4}|\s+$/gu) ?? [];
}

/** Truncates a choice to the caller's output limit with finish `length`. Reasoning counts towards the limit. */
export function cutToLimit(choice: Choice, outputLimit: number | undefined): Choice {
  if (outputLimit === undefined || countTokens([choice]) <= outputLimit) return choice;
  let left = Math.max(0, outputLimit);
  const cut = (deltas: string[]): string[] => {
    const kept = deltas.slice(0, left);
    left -= kept.length;
    return kept;
  };
  const result: Choice = { ...choice, finish: 'length' };
  if (choice.reasoning !== undefined) result.reasoning = cut(choice.reasoning);
  result.deltas = cut(choice.deltas);
  // A call with nothing left is dropped.
  if (choice.others !== undefined)
    result.others = choice.others.flatMap((call) => (left > 0 ? [{ ...call, deltas: cut(call.deltas) }] : []));
  return result;
}

/** Total tokens of all choices, reasoning included. */
export function countTokens(choices: readonly Choice[]): number {
  let sum = countReasoning(choices);
  for (const { deltas, others = [] } of choices) {
    sum += deltas.length;
    for (const call of others) sum += call.deltas.length;
  }
  return sum;
}

/** Total reasoning tokens of all choices. */
export function countReasoning(choices: readonly Choice[]): number {
  let sum = 0;
  for (const choice of choices) sum += choice.reasoning?.length ?? 0;
  return sum;
}
