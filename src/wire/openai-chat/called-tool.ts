import { isRecord } from '../../core/json.ts';
import { textIn } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';

/** The tool that an entry of `tool_calls` calls. Some hosts (Snowflake) send all members that an entry may have, the unused ones empty. */
export function calledTool(call: Fields): { readonly kind: 'function' | 'custom'; readonly fields: Fields } {
  const { custom, function: called } = call;
  if (isRecord(custom) && (!isRecord(called) || (isFilledCall(custom) && !isFilledCall(called)))) return { kind: 'custom', fields: custom };
  return { kind: 'function', fields: isRecord(called) ? called : {} };
}

/** True for a function, a custom tool or the older `function_call` whose members are not all empty. */
export function isFilledCall(value: unknown): value is Fields {
  if (!isRecord(value)) return false;
  return textIn(value['name']) !== '' || isRecord(value['arguments']) || textIn(value['arguments']) !== '' || textIn(value['input']) !== '';
}

/** A tool's name after another delta, which repeats it, extends it or holds its next piece. */
export function joinedName(known: string, more: string): string {
  if (more === known) return known;
  return more.startsWith(known) ? more : known + more;
}
