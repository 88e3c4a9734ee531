/** Parts of a response as output items. */
import type { Fields } from '../loose-values.ts';
import type { ModelTool, Opaque, PartHead } from '../model.ts';

/** Id prefix of reasoning that came from a target of another dialect. Clients send it back; requests are stripped of such items. */
export const FOREIGN_REASONING_PREFIX = 'rs_breakwater_';

/** Null if the dialect has no item for the part. */
export function itemOf(head: PartHead, id: string, text: string, opaque: Opaque | null, tools: readonly ModelTool[]): Fields | null {
  switch (head.type) {
    case 'text':
    case 'refusal':
      return { id, type: 'message', status: 'completed', role: 'assistant', content: [partOf(head, text)] };
    case 'reasoning':
      return { id, type: 'reasoning', summary: text === '' ? [] : [partOf(head, text)], ...encryptedOf(opaque) };
    case 'tool_call':
      return callItem(head, id, text, tools);
    case 'media':
      return head.source.kind === 'data' ? { id, type: 'image_generation_call', status: 'completed', result: head.source.base64 } : null;
    case 'foreign':
      return null;
  }
}

export function partOf(head: PartHead, text: string): Fields {
  if (head.type === 'refusal') return { type: 'refusal', refusal: text };
  return head.type === 'reasoning' ? { type: 'summary_text', text } : { type: 'output_text', text, annotations: [], logprobs: [] };
}

function encryptedOf(opaque: Opaque | null): Fields {
  return opaque?.dialect === 'openai-responses' ? { encrypted_content: opaque.value } : {};
}

/** A namespaced tool is called by its short name plus its namespace. */
function callItem(head: Extract<PartHead, { type: 'tool_call' }>, id: string, text: string, tools: readonly ModelTool[]): Fields {
  const tool = tools.find((known) => known.type !== 'foreign' && known.name === head.name);
  const origin = tool === undefined || tool.type === 'foreign' ? undefined : tool.origin;
  const names = origin === undefined ? { name: head.name } : { name: origin.name, namespace: origin.namespace };
  const call = { id, status: 'completed', call_id: head.id, ...names };
  return head.kind === 'custom' ? { ...call, type: 'custom_tool_call', input: text } : { ...call, type: 'function_call', arguments: text };
}
