/** Requests of `POST /model/{id}/converse` and `…/converse-stream`. */
import { isRecord } from '../../core/json.ts';
import type { Prompt } from '../content.ts';
import type { ParsedRequest, Failure, Received } from '../dialect.ts';
import { asText, countInput, readFields, wholeNumber } from '../request.ts';
import type { Fields } from '../request.ts';
import type { Seals } from '../seals.ts';
import { readTurns } from './converse-rules.ts';
import type { Turn } from './converse-rules.ts';
import { converseEvents, converseBody } from './converse-write.ts';
import type { ConverseParts } from './converse-write.ts';
import { CONVERSE_STREAM } from './event-stream.ts';

export interface BedrockParts {
  readonly seals: Seals;
  readonly keyOf: (received: Received) => string;
}

/** Parses a Converse request; the path determines `stream`. */
export function readConverse(received: Received, stream: boolean, { seals, keyOf }: BedrockParts): ParsedRequest | Failure {
  const read = readFields(received);
  if ('reason' in read) return read;
  const { fields } = read;
  const model = received.model ?? '';
  const owner = { key: keyOf(received), model };
  const turns = readTurns(fields, seals, owner);
  if ('reason' in turns) return turns;
  const settings = objectOf(fields['inferenceConfig']);
  const parts: ConverseParts = { sign: (text, call) => seals.seal('thinking', owner, text, call) };
  return {
    model,
    stream,
    inputTokens: countInput(received, fields),
    outputLimit: wholeNumber(settings['maxTokens']),
    prompt: toPrompt(fields, turns),
    fields: { ...settings, ...fields },
    framing: CONVERSE_STREAM,
    body: (choices, facts) => converseBody(parts, choices[0], facts),
    events: (choices, facts) => converseEvents(parts, choices[0], facts),
  };
}

function objectOf(value: unknown): Fields {
  return isRecord(value) ? value : {};
}

function toPrompt(fields: Fields, turns: readonly Turn[]): Prompt {
  const thinking = objectOf(objectOf(fields['additionalModelRequestFields'])['thinking']);
  const reasons = thinking['type'] === 'enabled' || thinking['type'] === 'adaptive';
  const prompt: Prompt = { text: lastUserText(turns), choices: 1, reasons };
  const toolConfig = objectOf(fields['toolConfig']);
  prompt.offered = specsOf(toolConfig).map(({ name }) => asText(name));
  prompt.isAfterResult = turns.at(-1)?.blocks.some(({ toolResult }) => toolResult !== undefined) === true;
  const tool = calledTool(toolConfig);
  if (tool !== undefined) prompt.tool = tool;
  return prompt;
}

function lastUserText(turns: readonly Turn[]): string {
  const textOf = ({ blocks }: Turn) => blocks.map(({ text }) => (typeof text === 'string' ? text : '')).join('');
  const turn = turns.findLast((one) => one.role === 'user' && textOf(one) !== '');
  return turn === undefined ? '' : textOf(turn);
}

function specsOf({ tools }: Fields): Fields[] {
  const given: unknown[] = Array.isArray(tools) ? tools : [];
  return given.map((tool) => objectOf(objectOf(tool)['toolSpec'])).filter(({ name }) => typeof name === 'string');
}

/** The tool to call: the named one, or the first if any is required. */
function calledTool(config: Fields): { name: string; parameters: unknown } | undefined {
  const choice = objectOf(config['toolChoice']);
  const wanted = isRecord(choice['tool']) ? choice['tool']['name'] : undefined;
  if (wanted === undefined && choice['any'] === undefined) return undefined;
  const spec = specsOf(config).find(({ name }) => wanted === undefined || name === wanted);
  return spec === undefined ? undefined : { name: asText(spec['name']), parameters: objectOf(spec['inputSchema'])['json'] };
}
