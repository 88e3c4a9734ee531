/** Parses the body of a call into a model request: chat by its dialect's codec, a legacy completion as a chat of one message. */
import { isRecord } from '../core/json.ts';
import { CODECS } from '../wire/codecs.ts';
import type { Fields } from '../wire/loose-values.ts';
import type { ModelRequest } from '../wire/model.ts';
import { EngineRefusal, unsupported } from './engine.ts';

export type Form = 'chat' | 'completions';

export interface ModelCall {
  readonly form: Form;
  readonly request: ModelRequest;
  /** The member of the body that holds its tools. */
  readonly toolsField: 'tools' | 'functions';
}

const FORMS: ReadonlyMap<string, Form> = new Map([
  ['/chat/completions', 'chat'],
  ['/completions', 'completions'],
]);
/** Roles that the codec reads. A message with any other role is read as a user message; the codec would drop it. */
const ROLES: ReadonlySet<unknown> = new Set(['system', 'developer', 'user', 'assistant', 'tool', 'function']);

/** Throws an EngineRefusal for an unsupported path or body. */
export function readCall(path: string, body: Uint8Array): ModelCall {
  const form = FORMS.get(path);
  if (form === undefined) throw new EngineRefusal(501, 'unsupported_endpoint', `local models do not support ${path}`);
  const fields = parseObject(body);
  const bestOf = fields['best_of'];
  if (Number.isInteger(bestOf) && Number(bestOf) > 1) throw unsupported('local models return one choice', 'best_of');
  const messages = form === 'chat' ? messagesIn(fields) : [{ role: 'user', content: promptIn(fields) }];
  const request = CODECS['openai-chat'].parseRequest(JSON.stringify({ ...fields, messages }), fields['stream'] === true);
  return { form, request, toolsField: isFilled(fields['tools']) ? 'tools' : 'functions' };
}

function parseObject(body: Uint8Array): Fields {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(body));
    if (isRecord(value)) return value;
  } catch {
    // Refused below.
  }
  throw new EngineRefusal(400, 'invalid_request', 'the request body is not a JSON object');
}

function messagesIn({ messages }: Fields): Fields[] {
  if (!Array.isArray(messages)) throw new EngineRefusal(400, 'invalid_request', "'messages' must be an array", 'messages');
  return messages.filter(isRecord).map((message) => (ROLES.has(message['role']) ? message : { ...message, role: 'user' }));
}

function promptIn({ prompt }: Fields): string {
  const only: unknown = Array.isArray(prompt) && prompt.length === 1 ? prompt[0] : prompt;
  if (typeof only !== 'string') throw unsupported('local models accept one prompt, as a string', 'prompt');
  return only;
}

function isFilled(list: unknown): boolean {
  return Array.isArray(list) && list.length > 0;
}
