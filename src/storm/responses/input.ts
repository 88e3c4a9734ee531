/** The input of a request: its items preceded by those of earlier turns, validated as the API does. */
import { asText } from '../request.ts';
import { isRecord } from '../../core/json.ts';
import type { Failure } from '../dialect.ts';
import type { Fields } from '../request.ts';
import type { SealOwner, Seals } from '../seals.ts';
import { faultInItem, itemType } from './input-rules.ts';
import { outputOf } from './store.ts';
import type { Item, ResponseStore } from './store.ts';

export interface Input {
  /** The items of this request. */
  readonly own: readonly Item[];
  /** The items of earlier turns and of this request. */
  readonly all: readonly Item[];
}

export interface InputContext {
  readonly owner: SealOwner;
  readonly seals: Seals;
  readonly store: ResponseStore;
}

/** Parses the input and resolves `previous_response_id`. */
export function readInput(fields: Fields, { owner, seals, store }: InputContext): Input | Failure {
  const own = ownItems(fields);
  if ('reason' in own) return own;
  const earlier = earlierItems(fields, owner.key, store);
  if ('reason' in earlier) return earlier;
  const resolved: Item[] = [];
  for (const [index, item] of own.items.entries()) {
    const found = itemType(item) === 'item_reference' ? store.item(owner.key, asText(item['id'])) : item;
    if (found === undefined) return itemNotFound(asText(item['id']));
    const fault = faultInItem(item, index) ?? faultInSeal(found, { owner, seals, store });
    if (fault !== undefined) return fault;
    resolved.push(found);
  }
  const all = [...earlier.items, ...resolved];
  return faultInOrder(all, earlier.items.length) ?? { own: own.items, all };
}

function ownItems({ input, previous_response_id: previous }: Fields): { items: Item[] } | Failure {
  if (typeof input === 'string') return { items: [{ type: 'message', role: 'user', content: [{ type: 'input_text', text: input }] }] };
  if (Array.isArray(input) && input.every(isRecord)) return { items: input };
  if (input === undefined && previous !== undefined && previous !== null) return { items: [] };
  if (input === undefined) {
    return { reason: 'invalid', param: 'input', code: 'missing_required_parameter', message: "Missing required parameter: 'input'." };
  }
  return {
    reason: 'invalid',
    param: 'input',
    code: 'invalid_type',
    message: "Invalid type for 'input': expected a string or an array of items.",
  };
}

function earlierItems({ previous_response_id: id }: Fields, key: string, store: ResponseStore): { items: readonly Item[] } | Failure {
  if (id === undefined || id === null) return { items: [] };
  const stored = store.get(key, asText(id));
  if (stored === undefined) {
    const message = `Previous response with id '${asText(id)}' not found.`;
    return { reason: 'invalid', param: 'previous_response_id', code: 'previous_response_not_found', message };
  }
  return { items: [...stored.conversation, ...outputOf(stored)] };
}

function itemNotFound(id: string): Failure {
  const message = `Item with id '${id}' not found. Items are not persisted when \`store\` is set to false. Try again with \`store\` set to true, or remove this item from your input.`;
  return { reason: 'invalid', status: 404, param: 'input', message };
}

/** Encrypted content must be Storm's own, for this key and model; reasoning without it must refer to a stored item. */
function faultInSeal(item: Item, { owner, seals, store }: InputContext): Failure | undefined {
  const type = itemType(item);
  if (type !== 'reasoning' && type !== 'compaction') return undefined;
  const { encrypted_content: delta, id } = item;
  if (delta === undefined || delta === null) {
    return typeof id === 'string' && store.item(owner.key, id) === undefined ? itemNotFound(id) : undefined;
  }
  if (seals.verify(type, delta, owner, '') === 'good') return undefined;
  const shown = typeof delta === 'string' ? delta.slice(0, 12) : '';
  const message = `The encrypted content ${shown}... could not be verified. Reason: Encrypted content could not be decrypted or parsed.`;
  return { reason: 'invalid', code: 'invalid_encrypted_content', message };
}

const CALLS: Readonly<Record<string, string>> = { function_call: 'function_call_output', custom_tool_call: 'custom_tool_call_output' };

/** Each call needs its output and each output its call, and reasoning of this request the item that follows from it. */
function faultInOrder(items: readonly Item[], ownFrom: number): Failure | undefined {
  const calls = new Set<unknown>();
  const outputs = new Set(items.filter((item) => itemType(item).endsWith('_output')).map((item) => item['call_id']));
  for (const [index, item] of items.entries()) {
    const type = itemType(item);
    const id = item['call_id'];
    if (CALLS[type] !== undefined) {
      calls.add(id);
      if (!outputs.has(id)) return inInput(`No tool output found for ${type.replaceAll('_', ' ')} ${asText(id)}.`);
    } else if (Object.values(CALLS).includes(type) && !calls.has(id)) {
      return inInput(`No tool call found for ${type.replaceAll('_', ' ')} with call_id ${asText(id)}.`);
    } else if (type === 'reasoning' && index >= ownFrom && typeof item['id'] === 'string' && !followsReasoning(items[index + 1])) {
      return inInput(`Item '${item['id']}' of type 'reasoning' was provided without its required following item.`);
    }
  }
  return undefined;
}

function followsReasoning(item: Item | undefined): boolean {
  if (item === undefined) return false;
  const type = itemType(item);
  return CALLS[type] !== undefined || type === 'reasoning' || (type === 'message' && item['role'] === 'assistant');
}

function inInput(message: string): Failure {
  return { reason: 'invalid', param: 'input', message };
}
