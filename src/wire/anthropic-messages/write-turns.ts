/** Writes turns as `system` and `messages` of a Messages request. */
import { conversionFault } from '../conversion-loss.ts';
import type { ConversionFault, DropList, TargetCapabilities } from '../conversion-loss.ts';
import type { Fields } from '../loose-values.ts';
import type { MediaSource, RequestPart, Turn } from '../model.ts';
import { OPENING_TEXT } from '../opening-text.ts';
import { argumentsObject } from '../tool-arguments.ts';
import { toTargetName } from '../tool-names.ts';
import { toTargetId } from '../tool-call-ids.ts';

interface Message {
  readonly role: 'user' | 'assistant';
  readonly content: Fields[];
}

export function writeTurns(
  turns: readonly Turn[],
  can: TargetCapabilities,
  dropped: DropList,
): { readonly system: readonly Fields[]; readonly messages: readonly Message[] } | ConversionFault {
  const writer = new TurnWriter(can, dropped);
  for (const turn of turns) writer.add(turn);
  return writer.fault ?? writer.finish();
}

/** Merges consecutive turns of one role; system text after the first turn becomes user text. */
class TurnWriter {
  fault: ConversionFault | null = null;
  readonly #can: TargetCapabilities;
  readonly #dropped: DropList;
  readonly #system: Fields[] = [];
  readonly #messages: Message[] = [];

  constructor(can: TargetCapabilities, dropped: DropList) {
    this.#can = can;
    this.#dropped = dropped;
  }

  add(turn: Turn): void {
    const blocks = turn.parts.flatMap((part) => this.#block(part));
    if (blocks.length === 0) return;
    if (turn.role === 'system' && this.#messages.length === 0) this.#system.push(...blocks);
    else this.#append(turn.role === 'assistant' ? 'assistant' : 'user', blocks);
  }

  finish(): { readonly system: readonly Fields[]; readonly messages: readonly Message[] } {
    let system: readonly Fields[] = this.#system;
    const messages = this.#messages;
    if (messages.length === 0) {
      messages.push({ role: 'user', content: [...this.#system] });
      system = [];
    }
    if (messages[0]!.role === 'assistant') messages.unshift({ role: 'user', content: [{ type: 'text', text: OPENING_TEXT }] });
    for (const { role, content } of messages) if (role === 'user') sortResults(content);
    if (this.#can.prefills) trimPrefill(messages.at(-1)!);
    else if (messages.at(-1)!.role === 'assistant') messages.push({ role: 'user', content: [{ type: 'text', text: OPENING_TEXT }] });
    return { system, messages };
  }

  #append(role: Message['role'], blocks: readonly Fields[]): void {
    const last = this.#messages.at(-1);
    if (last?.role === role) last.content.push(...blocks);
    else this.#messages.push({ role, content: [...blocks] });
  }

  #block(part: RequestPart): Fields[] {
    switch (part.type) {
      case 'text':
      case 'refusal':
        return part.text.trim() === '' ? [] : [{ type: 'text', text: part.text }];
      case 'image':
        return this.#can.supportsImages ? this.#media('image', part.source) : this.#refuse('image');
      case 'file':
        return this.#file(part.source, part.name);
      case 'tool_call':
        return [
          {
            type: 'tool_use',
            id: toTargetId('anthropic-messages', part.id),
            name: toTargetName('anthropic-messages', part.name),
            input: part.kind === 'custom' ? { input: part.arguments } : argumentsObject(part.arguments),
          },
        ];
      case 'tool_result':
        return [this.#result(part)];
      case 'reasoning':
        return this.#reasoning(part);
      case 'audio':
        return this.#refuse('audio');
      case 'foreign':
        this.#dropped.add(`messages.${part.name}`);
        return [];
    }
  }

  #result({ callId, parts, isError }: Extract<RequestPart, { type: 'tool_result' }>): Fields {
    const content = parts.flatMap((part) => this.#block(part));
    const result: Fields = { type: 'tool_result', tool_use_id: toTargetId('anthropic-messages', callId) };
    if (content.length > 0) result['content'] = content;
    if (isError) result['is_error'] = true;
    return result;
  }

  /** Only signed reasoning of this dialect is accepted back. */
  #reasoning({ text, opaque }: Extract<RequestPart, { type: 'reasoning' }>): Fields[] {
    if (opaque?.dialect === 'anthropic-messages') {
      return [
        text === '' ? { type: 'redacted_thinking', data: opaque.value } : { type: 'thinking', thinking: text, signature: opaque.value },
      ];
    }
    this.#dropped.add('reasoning');
    return [];
  }

  #file(source: MediaSource, name: string | null): Fields[] {
    const titled = name === null ? {} : { title: name };
    if (source.kind === 'data' && source.mime.startsWith('text/')) {
      const data = Buffer.from(source.base64, 'base64').toString();
      return [{ type: 'document', source: { type: 'text', media_type: 'text/plain', data }, ...titled }];
    }
    if (source.kind === 'data' && source.mime !== 'application/pdf') return this.#refuse('file');
    return this.#media('document', source).map((block) => ({ ...block, ...titled }));
  }

  #media(type: 'image' | 'document', source: MediaSource): Fields[] {
    if (source.kind === 'file_id') return this.#refuse('file_id');
    if (source.kind === 'url') return [{ type, source: { type: 'url', url: source.url } }];
    return [{ type, source: { type: 'base64', media_type: source.mime, data: source.base64 } }];
  }

  #refuse(what: string): Fields[] {
    this.fault ??= conversionFault(`messages.${what}`);
    return [];
  }
}

/** The API requires tool results first in their message. */
function sortResults(content: Fields[]): void {
  content.sort((a, b) => Number(b['type'] === 'tool_result') - Number(a['type'] === 'tool_result'));
}

/** A prefill must not end in whitespace. */
function trimPrefill({ role, content }: Message): void {
  const last = content.at(-1);
  if (role === 'assistant' && last?.['type'] === 'text') last['text'] = String(last['text']).trimEnd();
}
