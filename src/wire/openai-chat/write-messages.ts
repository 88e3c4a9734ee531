/** Writes turns as the messages of a chat request. */
import { conversionFault } from '../conversion-loss.ts';
import type { ConversionFault, DropList, TargetCapabilities } from '../conversion-loss.ts';
import type { Fields } from '../loose-values.ts';
import { urlOfSource } from '../media-source.ts';
import type { RequestPart, ToolResult, Turn } from '../model.ts';
import { textOf } from '../request-text.ts';
import { toTargetName } from '../tool-names.ts';
import { toTargetId } from '../tool-call-ids.ts';

export function writeMessages(
  turns: readonly Turn[],
  can: TargetCapabilities,
  dropped: DropList,
): { readonly list: readonly Fields[] } | ConversionFault {
  const writer = new MessageWriter(can, dropped);
  for (const turn of turns) writer.add(turn);
  return writer.fault ?? { list: writer.list };
}

class MessageWriter {
  readonly list: Fields[] = [];
  fault: ConversionFault | null = null;
  readonly #can: TargetCapabilities;
  readonly #dropped: DropList;

  constructor(can: TargetCapabilities, dropped: DropList) {
    this.#can = can;
    this.#dropped = dropped;
  }

  add(turn: Turn): void {
    if (turn.role === 'assistant') this.#addAssistant(turn.parts);
    else if (turn.role === 'system') this.#addContent('system', turn.parts);
    else this.#addUser(turn.parts);
  }

  /** Tool results become messages of their own; their images follow in a user message, since tool messages hold text only. */
  #addUser(parts: readonly RequestPart[]): void {
    let others: RequestPart[] = [];
    const results: RequestPart[] = [];
    const flush = (): void => {
      this.#addContent('user', others);
      others = [];
    };
    for (const part of parts) {
      if (part.type !== 'tool_result') {
        others.push(part);
        continue;
      }
      flush();
      this.#addResult(part);
      results.push(...part.parts.filter(({ type }) => type !== 'text'));
    }
    this.#addContent('user', [...results, ...others]);
  }

  #addResult(result: ToolResult): void {
    const text = textOf(result.parts);
    const content = result.isError && !/^\W*error/i.test(text) ? `Error: ${text}` : text;
    this.list.push({ role: 'tool', tool_call_id: toTargetId('openai-chat', result.callId), content });
  }

  #addContent(role: 'system' | 'user', parts: readonly RequestPart[]): void {
    const content = parts.flatMap((part) => this.#contentPart(part));
    if (content.length === 0) return;
    const isText = content.every((part) => part['type'] === 'text');
    if (!isText) this.list.push({ role, content });
    else if (content.length === 1 || role === 'system') this.list.push({ role, content: content.map((part) => part['text']).join('\n\n') });
    else this.list.push({ role, content });
  }

  #addAssistant(parts: readonly RequestPart[]): void {
    const message: Fields = { role: 'assistant', content: null };
    const texts: string[] = [];
    const calls: Fields[] = [];
    for (const part of parts) {
      if (part.type === 'text') texts.push(part.text);
      else if (part.type === 'refusal') message['refusal'] = part.text;
      else if (part.type === 'tool_call') calls.push(callOf(part.id, part.name, argumentsOf(part.kind, part.arguments)));
      else if (part.type === 'reasoning') this.#dropped.add('reasoning');
      else this.#dropped.add(`messages.${part.type === 'foreign' ? part.name : part.type}`);
    }
    if (texts.length > 0) message['content'] = texts.join('');
    if (calls.length > 0) message['tool_calls'] = calls;
    if (texts.length > 0 || calls.length > 0 || message['refusal'] !== undefined) this.list.push(message);
  }

  #contentPart(part: RequestPart): Fields[] {
    switch (part.type) {
      case 'text':
        return [{ type: 'text', text: part.text }];
      case 'image':
        return this.#image(part);
      case 'audio':
        return part.source.kind === 'data'
          ? [{ type: 'input_audio', input_audio: { data: part.source.base64, format: part.format } }]
          : this.#refuse('audio');
      case 'file':
        return this.#file(part);
      case 'foreign':
        this.#dropped.add(`messages.${part.name}`);
        return [];
      default:
        return [];
    }
  }

  #image({ source, detail }: Extract<RequestPart, { type: 'image' }>): Fields[] {
    const url = urlOfSource(source);
    if (url === null || !this.#can.supportsImages) return this.#refuse('image');
    return [{ type: 'image_url', image_url: detail === null ? { url } : { url, detail } }];
  }

  /** A text file is sent as text, which hosts without file support accept; other files as a data URL. */
  #file({ source, name }: Extract<RequestPart, { type: 'file' }>): Fields[] {
    if (source.kind === 'data' && source.mime.startsWith('text/')) {
      return [{ type: 'text', text: Buffer.from(source.base64, 'base64').toString() }];
    }
    if (source.kind !== 'data') return this.#refuse('file');
    return [{ type: 'file', file: { filename: name ?? 'document.pdf', file_data: urlOfSource(source) } }];
  }

  #refuse(what: string): Fields[] {
    this.fault ??= conversionFault(`messages.${what}`);
    return [];
  }
}

/** A custom tool's text becomes the one argument of the function that replaces it. */
function argumentsOf(kind: 'function' | 'custom', text: string): string {
  return kind === 'function' ? text : JSON.stringify({ input: text });
}

function callOf(id: string, name: string, text: string): Fields {
  return { id: toTargetId('openai-chat', id), type: 'function', function: { name: toTargetName('openai-chat', name), arguments: text } };
}
