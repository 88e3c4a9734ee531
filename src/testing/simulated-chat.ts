/** Scripts of OpenAI chat responses for the simulated upstream. */
import type { SimulatedResponse, SimulatedStep } from './simulated-upstream.ts';

const MODEL = 'simulated';

export interface ChatOptions {
  /** Milliseconds until the head; a non-streaming body arrives with it. Default 0. */
  readonly headersAfterMs?: number;
  /** Milliseconds from the head to the first content. Default 0. */
  readonly firstContentAfterMs?: number;
  /** Milliseconds between two words of a stream. Default 0. */
  readonly gapMs?: number;
  /** Default: three words. */
  readonly words?: readonly string[];
}

const WORDS = ['one ', 'two ', 'three'];

/** A non-streaming response. */
export function chatResponse(options: ChatOptions = {}): SimulatedResponse {
  const words = options.words ?? WORDS;
  const body = JSON.stringify({
    id: 'chatcmpl-simulated',
    object: 'chat.completion',
    model: MODEL,
    choices: [{ index: 0, message: { role: 'assistant', content: words.join('') }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 5, completion_tokens: words.length, total_tokens: 5 + words.length },
  });
  return {
    steps: [
      { do: 'wait', ms: options.headersAfterMs ?? 0 },
      { do: 'head', status: 200, headers: { 'content-type': 'application/json' } },
      { do: 'wait', ms: options.firstContentAfterMs ?? 0 },
      { do: 'send', bytes: body },
    ],
  };
}

/** A stream with one event per word. */
export function chatStream(options: ChatOptions = {}): SimulatedResponse {
  return { steps: [...streamStart(options), ...streamEnd()] };
}

/** The start of a stream, up to its last word; the caller adds the end. */
export function streamStart(options: ChatOptions = {}): SimulatedStep[] {
  const words = options.words ?? WORDS;
  const steps: SimulatedStep[] = [
    { do: 'wait', ms: options.headersAfterMs ?? 0 },
    { do: 'head', status: 200, headers: { 'content-type': 'text/event-stream' } },
    event({ role: 'assistant', content: '' }, null),
    { do: 'wait', ms: options.firstContentAfterMs ?? 0 },
  ];
  for (const [i, content] of words.entries()) {
    if (i > 0) steps.push({ do: 'wait', ms: options.gapMs ?? 0 });
    steps.push(event({ content }, null));
  }
  return steps;
}

export function streamEnd(): SimulatedStep[] {
  return [event({}, 'stop'), { do: 'send', bytes: 'data: [DONE]\n\n' }];
}

/** An error response with a JSON body. */
export function chatError(status: number, error: Record<string, unknown> = {}, headers: Record<string, string> = {}): SimulatedResponse {
  const body = JSON.stringify({ error: { message: `simulated ${status}`, type: null, param: null, code: null, ...error } });
  return {
    steps: [
      { do: 'head', status, headers: { 'content-type': 'application/json', ...headers } },
      { do: 'send', bytes: body },
    ],
  };
}

/** Accepts the request and never responds. */
export function silence(): SimulatedResponse {
  return { steps: [{ do: 'wait', ms: Infinity }] };
}

function event(delta: Record<string, unknown>, finish: string | null): SimulatedStep {
  const choices = [{ index: 0, delta, finish_reason: finish }];
  const chunk = { id: 'chatcmpl-simulated', object: 'chat.completion.chunk', model: MODEL, choices };
  return { do: 'send', bytes: `data: ${JSON.stringify(chunk)}\n\n` };
}
