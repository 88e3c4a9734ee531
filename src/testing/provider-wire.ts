/** The bytes of a simulated provider's responses, with their instants. */
import type { LimitLevel } from './provider-limits.ts';
import { DIALECTS } from './dialects.ts';
import type { ResponseParts } from './dialects/dialect.ts';
import type { SimulatedDialectName } from './dialects/names.ts';
import type { SimulatedFault } from './simulated-faults.ts';
import type { SimulatedStep } from './simulated-upstream.ts';

/** Content that identifies its call, position and total: `<a#7 1/3>`. */
export function wordsOf(provider: string, call: number, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `<${provider}#${call} ${i + 1}/${count}>`);
}

/** The error in a text that should be the content of one call; null if there is none. An incomplete response must be a prefix. */
export function faultOfContent(text: string, isWhole: boolean): string | null {
  const words = text.match(/<[^>]*>/g) ?? [];
  if (words.join('') !== text) return `contains foreign content: ${text.slice(0, 80)}`;
  const [first] = words;
  if (first === undefined) return null;
  const [, call, , total] = /^<(.*) (\d+)\/(\d+)>$/.exec(first) ?? [];
  for (const [i, word] of words.entries()) {
    if (word !== `<${call} ${i + 1}/${total}>`) return `${word} is at position ${i + 1} of a response that starts with ${first}`;
  }
  return isWhole && words.length !== Number(total) ? `has ${words.length} of ${total} chunks and is marked as complete` : null;
}

export function completeBody(parts: ResponseParts, workMs: number, fault: SimulatedFault | null): Generator<SimulatedStep> {
  return wholeBody(parts, DIALECTS[parts.dialect].whole(parts), workMs, fault);
}

/** One vector with one number; the value is irrelevant. */
export function embeddingBody(parts: ResponseParts, workMs: number, fault: SimulatedFault | null): Generator<SimulatedStep> {
  const data = fault?.kind === 'empty' ? [] : [{ object: 'embedding', index: 0, embedding: [1] }];
  const usage = { prompt_tokens: parts.usage.prompt, total_tokens: parts.usage.prompt };
  return wholeBody(parts, { object: 'list', data, model: parts.model, usage }, workMs, fault);
}

function* wholeBody(parts: ResponseParts, value: object, workMs: number, fault: SimulatedFault | null): Generator<SimulatedStep> {
  const isBroken = fault?.kind === 'cut' || fault?.kind === 'stall';
  yield { do: 'wait', ms: workMs };
  yield head('application/json', parts);
  if (fault?.kind === 'error_event')
    return yield { do: 'send', bytes: JSON.stringify(DIALECTS[parts.dialect].error(500, ERROR_TEXT, null)) };
  const body = JSON.stringify(value);
  yield { do: 'send', bytes: isBroken ? body.slice(0, body.length >> 1) : body };
  if (isBroken) yield* breakOff(fault);
}

export function* streamEvents(
  parts: ResponseParts,
  firstMs: number,
  paceMs: number,
  fault: SimulatedFault | null,
): Generator<SimulatedStep> {
  const { words, usage } = parts;
  const { stream } = DIALECTS[parts.dialect];
  // The headers and the role arrive well before the first token.
  yield { do: 'wait', ms: firstMs / 2 };
  yield head('text/event-stream', parts);
  yield { do: 'send', bytes: stream.opening(parts) };
  yield { do: 'wait', ms: firstMs / 2 };
  if (fault?.kind === 'error_event') return yield { do: 'send', bytes: stream.error(ERROR_TEXT) };
  const kept = fault === null ? words.length : Math.ceil(words.length / 2);
  const gapMs = (paceMs * usage.completion) / Math.max(1, words.length);
  for (let i = 0; i < kept; i++) {
    yield { do: 'send', bytes: stream.word(parts, i) };
    yield { do: 'wait', ms: gapMs };
  }
  if (fault !== null) return yield* breakOff(fault);
  yield { do: 'send', bytes: stream.ending(parts) };
}

export interface ErrorParts {
  readonly dialect: SimulatedDialectName;
  readonly status: number;
  readonly message: string;
  readonly waitMs: number | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** An error response; `hints` sets how it states `waitMs`. Gemini has no header for it. */
export function* errorSteps(
  networkMs: number,
  { dialect, status, message, waitMs, headers }: ErrorParts,
  { hints = 'header' }: { readonly hints?: 'header' | 'text' | 'none' },
): Generator<SimulatedStep> {
  const statedMs = waitMs === null || waitMs === Infinity || hints !== 'header' ? null : waitMs;
  const hint = statedMs === null || dialect === 'gemini' ? {} : hintHeaders(statedMs);
  yield { do: 'wait', ms: networkMs };
  yield { do: 'head', status, headers: { 'content-type': 'application/json', ...headers, ...hint } };
  yield { do: 'send', bytes: JSON.stringify(DIALECTS[dialect].error(status, message, statedMs)) };
}

/** An empty response to a request for the model list. */
export function* listSteps(networkMs: number): Generator<SimulatedStep> {
  yield { do: 'wait', ms: networkMs };
  yield { do: 'head', status: 200, headers: { 'content-type': 'application/json' } };
  yield { do: 'send', bytes: '{"object":"list","data":[]}' };
}

/** OpenAI's header names; resets in seconds with a fraction. */
export function limitHeaders(requests: LimitLevel | null, tokens: LimitLevel | null): Record<string, string> {
  return { ...headersOf('requests', requests), ...headersOf('tokens', tokens) };
}

function headersOf(what: string, level: LimitLevel | null): Record<string, string> {
  if (level === null) return {};
  return {
    [`x-ratelimit-limit-${what}`]: String(level.limit),
    [`x-ratelimit-remaining-${what}`]: String(Math.floor(level.remaining)),
    [`x-ratelimit-reset-${what}`]: `${(level.resetMs / 1000).toFixed(3)}s`,
  };
}

function hintHeaders(waitMs: number): Record<string, string> {
  return { 'retry-after': String(Math.ceil(waitMs / 1000)), 'retry-after-ms': String(Math.ceil(waitMs)) };
}

const ERROR_TEXT = 'simulated error';

function* breakOff(fault: SimulatedFault): Generator<SimulatedStep> {
  if (fault.kind === 'stall') yield { do: 'wait', ms: Infinity };
  yield { do: 'break', code: 'ECONNRESET' };
}

function head(contentType: string, { headers }: ResponseParts): SimulatedStep {
  return { do: 'head', status: 200, headers: { 'content-type': contentType, ...headers } };
}
