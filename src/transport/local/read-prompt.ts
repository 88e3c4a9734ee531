/** From a request body of the OpenAI protocol to a prompt. What a local model can't do is refused, never silently left out. */
import { isRecord } from '../../wire/json-values.ts';
import { EngineRefusal, unsupported } from '../../local/engine.ts';
import type { ChatMessage, Prompt } from '../../local/engine.ts';

export type Form = 'chat' | 'completions';

export interface LocalRequest {
  readonly form: Form;
  readonly prompt: Prompt;
  readonly stop: readonly string[];
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

const FORMS: Readonly<Record<string, Form>> = { '/chat/completions': 'chat', '/completions': 'completions' };
const STOPS_MAX = 16;

/** Throws an EngineRefusal where this can't be answered here. */
export function readRequest(path: string, body: Uint8Array): LocalRequest {
  const form = FORMS[path];
  if (form === undefined) throw new EngineRefusal(501, 'unsupported_endpoint', `a local model does not answer ${path}`);
  const request = parse(body);
  refuseWhatWeCannot(request);
  const messages = form === 'chat' ? readMessages(request['messages']) : readPrompt(request['prompt']);
  const options = request['stream_options'];
  return {
    form,
    prompt: {
      messages,
      isBare: form === 'completions',
      maxTokens: count(request['max_completion_tokens']) ?? count(request['max_tokens']),
      temperature: number(request['temperature']),
      topP: number(request['top_p']),
      seed: number(request['seed']),
    },
    stop: readStop(request['stop']),
    stream: request['stream'] === true,
    includeUsage: isRecord(options) && options['include_usage'] === true,
  };
}

function parse(body: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(body));
    if (isRecord(value)) return value;
  } catch {
    // Told below.
  }
  throw new EngineRefusal(400, 'invalid_request', 'the request body is no JSON object');
}

function refuseWhatWeCannot(request: Record<string, unknown>): void {
  for (const name of ['tools', 'functions']) {
    const given = request[name];
    const isUnused = request['tool_choice'] === 'none' || request['function_call'] === 'none';
    if (Array.isArray(given) && given.length > 0 && !isUnused) throw unsupported('a local model calls no tools', name);
  }
  const format = request['response_format'];
  if (isRecord(format) && format['type'] !== 'text') throw unsupported('a local model keeps to no response format', 'response_format');
  if ((count(request['n']) ?? 1) > 1) throw unsupported('a local model gives one answer at a time', 'n');
  if ((count(request['best_of']) ?? 1) > 1) throw unsupported('a local model gives one answer at a time', 'best_of');
}

function readMessages(value: unknown): ChatMessage[] {
  if (!Array.isArray(value)) throw new EngineRefusal(400, 'invalid_request', "'messages' must be an array", 'messages');
  return value.filter(isRecord).map((message) => ({ role: readRole(message['role']), content: readContent(message['content']) }));
}

function readRole(role: unknown): string {
  if (role === 'developer') return 'system';
  return typeof role === 'string' ? role : 'user';
}

/** The text of a message: a string, or parts. A picture can't be left out: the answer would speak of nothing. */
function readContent(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  const texts = content.filter(isRecord).map((part) => {
    const text = part['text'] ?? part['refusal'];
    if (typeof text === 'string') return text;
    throw unsupported('a local model reads text only', 'messages');
  });
  return texts.join('\n');
}

function readPrompt(prompt: unknown): ChatMessage[] {
  const only: unknown = Array.isArray(prompt) && prompt.length === 1 ? prompt[0] : prompt;
  if (typeof only !== 'string') throw unsupported('a local model takes one prompt, as a text', 'prompt');
  return [{ role: 'user', content: only }];
}

function readStop(stop: unknown): string[] {
  const list: readonly unknown[] = Array.isArray(stop) ? stop : [stop];
  return list.filter((text): text is string => typeof text === 'string' && text !== '').slice(0, STOPS_MAX);
}

function number(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

function count(value: unknown): number | null {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 ? value : null;
}
