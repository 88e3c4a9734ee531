/** The bytes of a simulated provider's responses, with their instants. */
import type { LimitLevel } from './provider-limits.ts';
import type { SimulatedFault } from './simulated-faults.ts';
import type { SimulatedStep } from './simulated-upstream.ts';

export interface ResponseParts {
  /** The content, as the chunks of a stream. */
  readonly words: readonly string[];
  readonly model: string;
  readonly usage: { readonly prompt: number; readonly cached: number; readonly completion: number };
  readonly finish: 'stop' | 'length';
  readonly includeUsage: boolean;
  readonly headers: Readonly<Record<string, string>>;
}

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

export function chatBody(parts: ResponseParts, workMs: number, fault: SimulatedFault | null): Generator<SimulatedStep> {
  const body = {
    id: 'chatcmpl-simulated',
    object: 'chat.completion',
    model: parts.model,
    choices: [{ index: 0, message: { role: 'assistant', content: parts.words.join('') }, finish_reason: parts.finish }],
    usage: usageOf(parts),
  };
  return wholeBody(parts, body, workMs, fault);
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
  if (fault?.kind === 'error_event') return yield { do: 'send', bytes: ERROR_JSON };
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
  // The headers and the role arrive well before the first token.
  yield { do: 'wait', ms: firstMs / 2 };
  yield head('text/event-stream', parts);
  yield chunk(parts, '{"role":"assistant","content":""}', null);
  yield { do: 'wait', ms: firstMs / 2 };
  if (fault?.kind === 'error_event') return yield { do: 'send', bytes: `data: ${ERROR_JSON}\n\n` };
  const kept = fault === null ? words.length : Math.ceil(words.length / 2);
  const gapMs = (paceMs * usage.completion) / Math.max(1, words.length);
  for (let i = 0; i < kept; i++) {
    yield chunk(parts, `{"content":"${words[i]}"}`, null);
    yield { do: 'wait', ms: gapMs };
  }
  if (fault !== null) return yield* breakOff(fault);
  yield chunk(parts, '{}', parts.finish);
  if (parts.includeUsage) {
    const event = { id: 'chatcmpl-simulated', object: 'chat.completion.chunk', model: parts.model, choices: [], usage: usageOf(parts) };
    yield { do: 'send', bytes: `data: ${JSON.stringify(event)}\n\n` };
  }
  yield { do: 'send', bytes: 'data: [DONE]\n\n' };
}

/** An error response; the behaviour's `hints` set how it states `waitMs`. */
export function* errorSteps(
  networkMs: number,
  status: number,
  message: string,
  waitMs: number | null,
  { hints = 'header' }: { readonly hints?: 'header' | 'text' | 'none' },
  headers: Readonly<Record<string, string>>,
): Generator<SimulatedStep> {
  const hint = waitMs === null || waitMs === Infinity || hints !== 'header' ? {} : hintHeaders(waitMs);
  const type = status === 429 ? 'rate_limit_exceeded' : 'server_error';
  const body = JSON.stringify({ error: { message, type, param: null, code: status === 429 ? 'rate_limit_exceeded' : null } });
  yield { do: 'wait', ms: networkMs };
  yield { do: 'head', status, headers: { 'content-type': 'application/json', ...headers, ...hint } };
  yield { do: 'send', bytes: body };
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

const ERROR_JSON = JSON.stringify({ error: { message: 'simulated error', type: 'server_error', param: null, code: null } });

function* breakOff(fault: SimulatedFault): Generator<SimulatedStep> {
  if (fault.kind === 'stall') yield { do: 'wait', ms: Infinity };
  yield { do: 'break', code: 'ECONNRESET' };
}

function head(contentType: string, { headers }: ResponseParts): SimulatedStep {
  return { do: 'head', status: 200, headers: { 'content-type': contentType, ...headers } };
}

function chunk({ model }: ResponseParts, delta: string, finish: string | null): SimulatedStep {
  const reason = finish === null ? 'null' : `"${finish}"`;
  const choices = `[{"index":0,"delta":${delta},"finish_reason":${reason}}]`;
  return {
    do: 'send',
    bytes: `data: {"id":"chatcmpl-simulated","object":"chat.completion.chunk","model":${JSON.stringify(model)},"choices":${choices}}\n\n`,
  };
}

function usageOf({ usage }: ResponseParts): object {
  return {
    prompt_tokens: usage.prompt,
    completion_tokens: usage.completion,
    total_tokens: usage.prompt + usage.completion,
    ...(usage.cached === 0 ? {} : { prompt_tokens_details: { cached_tokens: usage.cached } }),
  };
}
