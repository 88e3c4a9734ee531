/** Writes turns as `instructions` and input items of a Responses request. */
import { conversionFault } from '../conversion-loss.ts';
import type { ConversionFault, DropList, TargetCapabilities } from '../conversion-loss.ts';
import type { Fields } from '../loose-values.ts';
import { urlOfSource } from '../media-source.ts';
import type { MediaSource, RequestPart, ToolCall, ToolResult, Turn } from '../model.ts';
import { textOf } from '../request-text.ts';
import { toTargetId } from '../tool-call-ids.ts';
import { toTargetName } from '../tool-names.ts';

export function writeItems(
  turns: readonly Turn[],
  can: TargetCapabilities,
  dropped: DropList,
): { readonly instructions: string | null; readonly items: readonly Fields[] } | ConversionFault {
  const writer = new ItemWriter(can, dropped);
  for (const turn of turns) writer.add(turn);
  return writer.fault ?? { instructions: writer.instructions, items: writer.items };
}

class ItemWriter {
  readonly items: Fields[] = [];
  /** System text before the first other turn. */
  instructions: string | null = null;
  fault: ConversionFault | null = null;
  readonly #can: TargetCapabilities;
  readonly #dropped: DropList;

  constructor(can: TargetCapabilities, dropped: DropList) {
    this.#can = can;
    this.#dropped = dropped;
  }

  add(turn: Turn): void {
    if (turn.role === 'assistant') return this.#addAssistant(turn.parts);
    if (turn.role === 'system') return this.#addSystem(turn.parts);
    let content: Fields[] = [];
    const flush = (): void => {
      if (content.length > 0) this.items.push({ type: 'message', role: 'user', content });
      content = [];
    };
    for (const part of turn.parts) {
      if (part.type === 'tool_result') {
        flush();
        this.items.push(this.#result(part));
      } else content.push(...this.#content(part));
    }
    flush();
  }

  #addSystem(parts: readonly RequestPart[]): void {
    const text = parts.map((part) => (part.type === 'text' ? part.text : '')).join('\n\n');
    if (text === '') return;
    if (this.items.length === 0) this.instructions = this.instructions === null ? text : `${this.instructions}\n\n${text}`;
    else this.items.push({ type: 'message', role: 'developer', content: [{ type: 'input_text', text }] });
  }

  #addAssistant(parts: readonly RequestPart[]): void {
    for (const part of parts) {
      if (part.type === 'text') this.#append({ type: 'output_text', text: part.text, annotations: [] });
      else if (part.type === 'refusal') this.#append({ type: 'refusal', refusal: part.text });
      else if (part.type === 'tool_call') this.items.push(callItem(part));
      else if (part.type === 'reasoning') this.#addReasoning(part);
      else this.#dropped.add(`messages.${part.type === 'foreign' ? part.name : part.type}`);
    }
  }

  #append(content: Fields): void {
    const last = this.items.at(-1);
    if (last?.['type'] === 'message' && last['role'] === 'assistant') (last['content'] as Fields[]).push(content);
    else this.items.push({ type: 'message', role: 'assistant', content: [content] });
  }

  /** Only encrypted reasoning of this dialect is accepted back. */
  #addReasoning({ text, opaque }: Extract<RequestPart, { type: 'reasoning' }>): void {
    if (opaque?.dialect !== 'openai-responses') return this.#dropped.add('reasoning');
    const summary = text === '' ? [] : [{ type: 'summary_text', text }];
    this.items.push({ type: 'reasoning', summary, encrypted_content: opaque.value });
  }

  #result({ callId, parts, isError }: ToolResult): Fields {
    const isText = parts.every(({ type }) => type === 'text');
    const text = textOf(parts);
    const marked = isError && !/^\W*error/i.test(text) ? `Error: ${text}` : text;
    const output = isText ? marked : parts.flatMap((part) => this.#content(part));
    return { type: 'function_call_output', call_id: toTargetId('openai-responses', callId), output };
  }

  #content(part: RequestPart): Fields[] {
    switch (part.type) {
      case 'text':
      case 'refusal':
        return part.text === '' ? [] : [{ type: 'input_text', text: part.text }];
      case 'image':
        return this.#image(part.source, part.detail);
      case 'file':
        return this.#file(part.source, part.name);
      case 'audio':
        return this.#refuse('audio');
      case 'foreign':
        this.#dropped.add(`messages.${part.name}`);
        return [];
      default:
        return [];
    }
  }

  #image(source: MediaSource, detail: string | null): Fields[] {
    const url = urlOfSource(source);
    if (url === null || !this.#can.supportsImages) return this.#refuse('image');
    return [{ type: 'input_image', image_url: url, detail: detail ?? 'auto' }];
  }

  #file(source: MediaSource, name: string | null): Fields[] {
    if (source.kind === 'file_id') return this.#refuse('file_id');
    if (source.kind === 'url') return [{ type: 'input_file', file_url: source.url }];
    if (source.mime.startsWith('text/')) return [{ type: 'input_text', text: Buffer.from(source.base64, 'base64').toString() }];
    return [{ type: 'input_file', filename: name ?? 'document.pdf', file_data: urlOfSource(source) }];
  }

  #refuse(what: string): Fields[] {
    this.fault ??= conversionFault(`messages.${what}`);
    return [];
  }
}

function callItem({ id, name: calledAs, kind, arguments: text }: ToolCall): Fields {
  const name = toTargetName('openai-responses', calledAs);
  const callId = toTargetId('openai-responses', id);
  if (kind === 'custom') return { type: 'custom_tool_call', call_id: callId, name, input: text };
  return { type: 'function_call', call_id: callId, name, arguments: text };
}
