/**
 * Custom tools take free text. Dialects without them are offered a function with one argument, `input`, and its calls are converted back
 * here. The text of such a call is emitted at once: it can only be extracted from complete JSON.
 */
import { isRecord, parseOrUndefined } from '../core/json.ts';
import type { ModelEvent, ModelTool } from './model.ts';

export type EventFilter = (event: ModelEvent) => readonly ModelEvent[];

/** Null: the request has no custom tools, and events stay unchanged. */
export function createCustomToolFilter(tools: readonly ModelTool[]): EventFilter | null {
  const names = new Set(tools.flatMap((tool) => (tool.type === 'custom' ? [tool.name] : [])));
  if (names.size === 0) return null;
  const open = new Map<string, string>();
  return (event) => {
    if (event.type === 'part_start') {
      const { head } = event;
      if (head.type !== 'tool_call' || head.kind === 'custom' || !names.has(head.name)) return [event];
      open.set(keyOf(event), '');
      return [{ ...event, head: { ...head, kind: 'custom' } }];
    }
    if (event.type !== 'delta' && event.type !== 'part_end') return [event];
    const key = keyOf(event);
    const text = open.get(key);
    if (text === undefined) return [event];
    if (event.type === 'delta') {
      open.set(key, text + event.text);
      return [];
    }
    open.delete(key);
    return [{ type: 'delta', choice: event.choice, part: event.part, text: inputIn(text) }, event];
  };
}

function keyOf({ choice, part }: { readonly choice: number; readonly part: number }): string {
  return `${choice} ${part}`;
}

/** Returns the text itself if the model wrote no JSON object around it. */
function inputIn(text: string): string {
  const value = parseOrUndefined(text);
  return isRecord(value) && typeof value['input'] === 'string' ? value['input'] : text;
}
