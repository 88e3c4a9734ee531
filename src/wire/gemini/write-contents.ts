/** Writes turns as `systemInstruction` and `contents` of a generateContent request. */
import { isRecord } from '../../core/json.ts';
import { FOREIGN_CALL_SIGNATURE } from './opaque.ts';
import { conversionFault } from '../conversion-loss.ts';
import type { ConversionFault, DropList, TargetCapabilities } from '../conversion-loss.ts';
import { OPENING_TEXT } from '../opening-text.ts';
import { parseExact } from '../json-exact.ts';
import type { Fields } from '../loose-values.ts';
import type { MediaSource, RequestPart, ToolCall, ToolResult, Turn } from '../model.ts';
import { textOf } from '../request-text.ts';
import { argumentsObject } from '../tool-arguments.ts';
import { toTargetId } from '../tool-call-ids.ts';
import { toTargetName } from '../tool-names.ts';
import { POSITIONAL_ID_PREFIX } from './call-ids.ts';

interface Content {
  readonly role: 'user' | 'model';
  readonly parts: Fields[];
}

export function writeContents(
  turns: readonly Turn[],
  can: TargetCapabilities,
  dropped: DropList,
): { readonly system: readonly Fields[]; readonly contents: readonly Content[] } | ConversionFault {
  const writer = new ContentWriter(can, dropped);
  for (const turn of turns) writer.add(turn);
  return writer.fault ?? writer.finish();
}

/** Merges consecutive turns of one role; system text after the first turn becomes user text. */
class ContentWriter {
  fault: ConversionFault | null = null;
  readonly #can: TargetCapabilities;
  readonly #dropped: DropList;
  readonly #system: Fields[] = [];
  readonly #contents: Content[] = [];
  readonly #toolNames = new Map<string, string>();
  /** The API requires a signature on the first call of a turn. */
  #turnHasCall = false;

  constructor(can: TargetCapabilities, dropped: DropList) {
    this.#can = can;
    this.#dropped = dropped;
  }

  add(turn: Turn): void {
    this.#turnHasCall = false;
    const parts = turn.parts.flatMap((part) => this.#part(part));
    if (parts.length === 0) return;
    if (turn.role === 'system' && this.#contents.length === 0) return void this.#system.push(...parts);
    const role = turn.role === 'assistant' ? 'model' : 'user';
    const last = this.#contents.at(-1);
    if (last?.role === role) last.parts.push(...parts);
    else this.#contents.push({ role, parts });
  }

  finish(): { readonly system: readonly Fields[]; readonly contents: readonly Content[] } {
    if (this.#contents[0]?.role === 'model') this.#contents.unshift({ role: 'user', parts: [{ text: OPENING_TEXT }] });
    if (this.#contents.length > 0) return { system: this.#system, contents: this.#contents };
    return { system: [], contents: [{ role: 'user', parts: this.#system }] };
  }

  #part(part: RequestPart): Fields[] {
    switch (part.type) {
      case 'text':
      case 'refusal':
        return part.text === '' ? [] : [{ text: part.text }];
      case 'image':
        return this.#can.supportsImages ? this.#media(part.source, 'image/png') : this.#refuse('image');
      case 'audio':
        return this.#media(part.source, `audio/${part.format}`);
      case 'file':
        return this.#media(part.source, 'application/pdf');
      case 'tool_call':
        return [this.#call(part)];
      case 'tool_result':
        return this.#result(part);
      case 'reasoning':
        return this.#reasoning(part);
      case 'foreign':
        this.#dropped.add(`messages.${part.name}`);
        return [];
    }
  }

  #call(call: ToolCall): Fields {
    const name = toTargetName('gemini', call.name);
    this.#toolNames.set(call.id, name);
    const args = call.kind === 'custom' ? { input: call.arguments } : argumentsObject(call.arguments);
    const signature = call.opaque?.dialect === 'gemini' ? call.opaque.value : this.#turnHasCall ? null : FOREIGN_CALL_SIGNATURE;
    this.#turnHasCall = true;
    const signed = signature === null || this.#can.thinking === 'none' ? {} : { thoughtSignature: signature };
    return { functionCall: { ...idOf(call.id), name, args }, ...signed };
  }

  #result(result: ToolResult): Fields[] {
    const name = this.#toolNames.get(result.callId) ?? toTargetName('gemini', result.name ?? 'unknown');
    const text = textOf(result.parts);
    const response = result.isError ? { error: text } : responseOf(text);
    const media = result.parts.filter(({ type }) => type !== 'text').flatMap((part) => this.#part(part));
    return [{ functionResponse: { ...idOf(result.callId), name, response } }, ...media];
  }

  /** Only signed reasoning of this dialect is accepted back. */
  #reasoning({ text, opaque }: Extract<RequestPart, { type: 'reasoning' }>): Fields[] {
    if (opaque?.dialect === 'gemini') return [{ text, thought: true, thoughtSignature: opaque.value }];
    this.#dropped.add('reasoning');
    return [];
  }

  #media(source: MediaSource, mimeDefault: string): Fields[] {
    if (source.kind === 'file_id') return this.#refuse('file_id');
    if (source.kind === 'url')
      return [{ fileData: { fileUri: source.url, mimeType: source.mime ?? mimeOfUrl(source.url) ?? mimeDefault } }];
    return [{ inlineData: { mimeType: source.mime, data: source.base64 } }];
  }

  #refuse(what: string): Fields[] {
    this.fault ??= conversionFault(`messages.${what}`);
    return [];
  }
}

const MIME_BY_ENDING: Readonly<Record<string, string>> = {
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  gif: 'image/gif',
  webp: 'image/webp',
  pdf: 'application/pdf',
  mp3: 'audio/mp3',
  wav: 'audio/wav',
  mp4: 'video/mp4',
};

function mimeOfUrl(url: string): string | null {
  const ending = /\.(\w{2,5})(?:[?#]|$)/.exec(url)?.[1]?.toLowerCase() ?? '';
  return MIME_BY_ENDING[ending] ?? null;
}

/** Omits ids that were made for calls without one. */
function idOf(id: string): Fields {
  const own = toTargetId('gemini', id);
  return own.startsWith(POSITIONAL_ID_PREFIX) ? {} : { id: own };
}

function responseOf(text: string): Fields {
  if (!text.trimStart().startsWith('{')) return { output: text };
  try {
    const value = parseExact(text);
    return isRecord(value) ? value : { output: text };
  } catch {
    return { output: text };
  }
}
