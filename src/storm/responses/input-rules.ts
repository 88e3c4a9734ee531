/** Validation of a single input item. Rejects chat forms and ids of other providers. */
import { asText } from '../request.ts';
import { isRecord } from '../../core/json.ts';
import type { Failure } from '../dialect.ts';
import type { Item } from './store.ts';

/** The type of an item; a message may omit it. */
export function itemType(item: Item): string {
  return typeof item['type'] === 'string' ? item['type'] : 'message';
}

/** Required id prefixes by item type. */
const ID_PREFIXES: Readonly<Record<string, string>> = {
  message: 'msg',
  reasoning: 'rs',
  function_call: 'fc',
  custom_tool_call: 'ctc',
  compaction: 'cmp',
};

const ROLES = ['assistant', 'system', 'developer', 'user'];
const INPUT_PARTS = ['input_text', 'input_image', 'output_text', 'refusal', 'input_file', 'computer_screenshot', 'summary_text'];
const ASSISTANT_PARTS = ['output_text', 'refusal'];
const CALL_ID_MAX = 64;

/** The validation error of an item. */
export function faultInItem(item: Item, index: number): Failure | undefined {
  const type = itemType(item);
  const prefix = ID_PREFIXES[type];
  const { id, call_id: callId } = item;
  // User messages may have any client-assigned id.
  const isOurs = type !== 'message' || item['role'] === 'assistant';
  if (prefix !== undefined && isOurs && typeof id === 'string' && !id.startsWith(prefix)) {
    return invalid(`input[${index}].id`, `Invalid 'input[${index}].id': '${id}'. Expected an ID that begins with '${prefix}'.`);
  }
  if (typeof callId === 'string' && callId.length > CALL_ID_MAX) {
    return {
      ...invalid(
        `input[${index}].call_id`,
        `Invalid 'input[${index}].call_id': string too long. Expected a string with maximum length ${CALL_ID_MAX}, but got a string with length ${callId.length} instead.`,
      ),
      code: 'string_above_max_length',
    };
  }
  return type === 'message' ? faultInMessage(item, index) : undefined;
}

function faultInMessage({ role, content }: Item, index: number): Failure | undefined {
  if (typeof role !== 'string' || !ROLES.includes(role)) return unsupported(`input[${index}].role`, role, ROLES);
  if (!Array.isArray(content)) return undefined;
  const known = role === 'assistant' ? ASSISTANT_PARTS : INPUT_PARTS;
  const at = content.findIndex((part) => !isRecord(part) || !known.includes(asText(part['type'])));
  if (at === -1) return undefined;
  const part: unknown = content[at];
  return unsupported(`input[${index}].content[${at}]`, isRecord(part) ? part['type'] : part, known);
}

function unsupported(param: string, value: unknown, known: readonly string[]): Failure {
  const quoted = known.map((one) => `'${one}'`);
  const list = `${quoted.slice(0, -1).join(', ')}${quoted.length > 2 ? ',' : ''} and ${quoted.at(-1)}`;
  return invalid(param, `Invalid value: '${asText(value)}'. Supported values are: ${list}.`);
}

function invalid(param: string, message: string): Failure {
  return { reason: 'invalid', param, code: 'invalid_value', message };
}
