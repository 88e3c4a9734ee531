/** `POST /v1/chat/completions`. */
import { isRecord } from '../../core/json.ts';
import { callsOf } from '../content.ts';
import type { Choice, Finish, Prompt } from '../content.ts';
import type { ResponseFacts, ParsedRequest, Failure, ResponseBody, Received, StreamEvent } from '../dialect.ts';
import { countChoices, countInput, readFields, wantsUsage, wholeNumber } from '../request.ts';
import type { Fields } from '../request.ts';
import { toUsage } from './usage.ts';

const FINISH: Record<Finish, string | null> = { stop: 'stop', length: 'length', tool: 'tool_calls', filter: 'content_filter', none: null };

/** Parses a chat request. */
export function readChat(received: Received): ParsedRequest | Failure {
  const read = readFields(received);
  if ('reason' in read) return read;
  const { fields } = read;
  const { messages } = fields;
  if (!Array.isArray(messages) || messages.length === 0) {
    return { reason: 'invalid', param: 'messages', message: "Missing required parameter: 'messages'." };
  }
  const model = fields['model'] as string;
  const withUsage = wantsUsage(fields);
  return {
    model,
    stream: fields['stream'] === true,
    inputTokens: countInput(received, fields),
    outputLimit: wholeNumber(fields['max_completion_tokens']) ?? wholeNumber(fields['max_tokens']),
    prompt: toPrompt(fields, messages),
    fields,
    body: (choices, facts) => chatBody(model, choices, facts),
    events: (choices, facts) => streamEvents(model, choices, facts, withUsage),
  };
}

function toPrompt(fields: Fields, messages: readonly unknown[]): Prompt {
  const prompt: Prompt = { text: lastUserText(messages), choices: countChoices(fields) };
  const format = fields['response_format'];
  if (isRecord(format) && (format['type'] === 'json_object' || format['type'] === 'json_schema')) {
    prompt.json = { schema: isRecord(format['json_schema']) ? format['json_schema']['schema'] : undefined };
  }
  const latest = messages.at(-1);
  if (isRecord(latest) && latest['role'] === 'assistant' && typeof latest['content'] === 'string') prompt.partial = latest['content'];
  if (isRecord(latest) && latest['role'] === 'tool') prompt.isAfterResult = true;
  if (Array.isArray(fields['tools'])) prompt.offered = fields['tools'].flatMap(nameOf);
  const tool = calledTool(fields);
  if (tool !== undefined) prompt.tool = tool;
  return prompt;
}

function lastUserText(messages: readonly unknown[]): string {
  for (let at = messages.length - 1; at >= 0; at--) {
    const message = messages[at];
    if (!isRecord(message) || message['role'] !== 'user') continue;
    const { content } = message;
    if (typeof content === 'string') return content;
    if (!Array.isArray(content)) return '';
    return content.map((part) => (isRecord(part) && typeof part['text'] === 'string' ? part['text'] : '')).join('');
  }
  return '';
}

function nameOf(tool: unknown): string[] {
  const definition = isRecord(tool) ? tool['function'] : undefined;
  return isRecord(definition) && typeof definition['name'] === 'string' ? [definition['name']] : [];
}

/** The tool to call: the named one, or the first if any is required. */
function calledTool(fields: Fields): { name: string; parameters: unknown } | undefined {
  const { tools, tool_choice: choice } = fields;
  if (!Array.isArray(tools)) return undefined;
  const named = isRecord(choice) && isRecord(choice['function']) ? choice['function']['name'] : undefined;
  if (choice !== 'required' && named === undefined) return undefined;
  for (const tool of tools) {
    const definition = isRecord(tool) ? tool['function'] : undefined;
    if (!isRecord(definition) || typeof definition['name'] !== 'string') continue;
    if (named === undefined || definition['name'] === named) return { name: definition['name'], parameters: definition['parameters'] };
  }
  return undefined;
}

function chatBody(model: string, choices: readonly Choice[], facts: ResponseFacts): ResponseBody {
  const shown = choices
    .filter((choice) => choice.kind !== 'absent')
    .map((choice, index) => ({
      index,
      message: messageBody(choice, index, facts),
      logprobs: null,
      finish_reason: choice.reason ?? FINISH[choice.finish],
    }));
  const body = `{"id":"chatcmpl-storm${facts.call}","object":"chat.completion","created":${facts.created},"model":${JSON.stringify(model)},"choices":${JSON.stringify(shown)},"usage":${toUsage(facts.usage)},"service_tier":"default","system_fingerprint":${JSON.stringify(`fp_${facts.name}`)}}`;
  return { contentType: 'application/json', body };
}

function messageBody(choice: Choice, index: number, facts: ResponseFacts): Record<string, unknown> {
  const text = choice.kind === 'null' ? null : choice.deltas.join('');
  const message = {
    role: 'assistant',
    content: choice.kind === 'text' ? text : null,
    refusal: choice.kind === 'refusal' ? text : null,
    annotations: [],
  };
  if (choice.kind !== 'tool') return message;
  const calls = callsOf(choice).map(({ tool, deltas }, at) => ({
    id: callId(facts, index, at),
    type: 'function',
    function: { name: tool, arguments: deltas.join('') },
  }));
  return { ...message, tool_calls: calls };
}

/** The id of a call; `at` is its index in the choice. */
function callId(facts: ResponseFacts, index: number, at = 0): string {
  return `call_storm${facts.call}_${index}${at === 0 ? '' : `_${at}`}`;
}

function streamEvents(model: string, choices: readonly Choice[], facts: ResponseFacts, withUsage: boolean): StreamEvent[] {
  const start = `{"id":"chatcmpl-storm${facts.call}","object":"chat.completion.chunk","created":${facts.created},"model":${JSON.stringify(model)},"service_tier":"default","system_fingerprint":${JSON.stringify(`fp_${facts.name}`)},"choices":[`;
  const end = withUsage ? '],"usage":null}' : ']}';
  const events: StreamEvent[] = [];
  choices.forEach((choice, index) => choiceEvents(events, choice, `${start}{"index":${index},"delta":`, end, callId(facts, index)));
  if (withUsage) events.push({ part: 'usage', data: `${start}],"usage":${toUsage(facts.usage)}}` });
  events.push({ part: 'done', data: '[DONE]' });
  return events;
}

/** Adds the events of one choice. `start` is the JSON up to the delta. */
function choiceEvents(events: StreamEvent[], choice: Choice, start: string, end: string, id: string): void {
  if (choice.kind === 'absent') {
    events.push({ part: 'preamble', data: `${start.slice(0, start.lastIndexOf('['))}[${end}` });
    return;
  }
  const go = `,"logprobs":null,"finish_reason":null}${end}`;
  events.push({ part: 'preamble', data: start + opening(choice, id) + go });
  const [before, after] = wrapping(choice);
  for (const delta of choice.deltas) events.push({ part: 'content', data: start + before + JSON.stringify(delta) + after + go });
  for (const [at, call] of (choice.others ?? []).entries()) {
    const one = (fields: string) => `${start}{"tool_calls":[{"index":${at + 1},${fields}}]}${go}`;
    const name = JSON.stringify(call.tool);
    events.push({ part: 'content', data: one(`"id":"${id}_${at + 1}","type":"function","function":{"name":${name},"arguments":""}`) });
    for (const delta of call.deltas) events.push({ part: 'content', data: one(`"function":{"arguments":${JSON.stringify(delta)}}`) });
  }
  const finish = choice.reason ?? FINISH[choice.finish];
  if (finish !== null) events.push({ part: 'finish', data: `${start}{},"logprobs":null,"finish_reason":${JSON.stringify(finish)}}${end}` });
}

function opening(choice: Choice, id: string): string {
  if (choice.kind === 'null') return '{"role":"assistant","content":null,"refusal":null}';
  if (choice.kind !== 'tool') return '{"role":"assistant","content":"","refusal":null}';
  return `{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"${id}","type":"function","function":{"name":${JSON.stringify(choice.tool)},"arguments":""}}],"refusal":null}`;
}

function wrapping(choice: Choice): [string, string] {
  if (choice.kind === 'tool') return ['{"tool_calls":[{"index":0,"function":{"arguments":', '}}]}'];
  return choice.kind === 'refusal' ? ['{"refusal":', '}'] : ['{"content":', '}'];
}
