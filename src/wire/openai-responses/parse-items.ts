/** Parses the input items of a Responses request into turns; consecutive items of one role form a turn. */
import { isRecord } from '../../core/json.ts';
import { recordsIn, textIn, textOrNull } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import { sourceOfUrl } from '../media-source.ts';
import type { MediaSource, Opaque, RequestPart, Turn } from '../model.ts';
import { flatToolName } from './tool-names.ts';

/** Items that refer to content only the provider has. Without it the conversation would change. */
const UNREADABLE: ReadonlySet<string> = new Set(['item_reference', 'compaction', 'compaction_summary']);

interface OpenTurn {
  readonly role: Turn['role'];
  readonly parts: RequestPart[];
}

export class ItemReader {
  readonly turns: OpenTurn[] = [];
  /** Tools declared among the items (Codex). */
  readonly tools: Fields[] = [];
  /** Type of an item that can't be dropped without changing the request; null if there is none. */
  refused: string | null = null;
  readonly #toolNames = new Map<string, string>();

  addSystem(text: string): void {
    this.#append('system', [{ type: 'text', text }]);
  }

  addUser(text: string): void {
    this.#append('user', [{ type: 'text', text }]);
  }

  add(item: Fields): void {
    const type = textOrNull(item['type']) ?? 'message';
    switch (type) {
      case 'message':
        return this.#append(roleOf(item['role']), contentParts(item['content']));
      case 'reasoning':
        return this.#append('assistant', [reasoningPart(item)]);
      case 'function_call':
        return this.#call(item, 'function', textIn(item['arguments']) || '{}');
      case 'custom_tool_call':
        return this.#call(item, 'custom', textIn(item['input']));
      case 'function_call_output':
      case 'custom_tool_call_output':
        return this.#result(item);
      case 'additional_tools':
        return void this.tools.push(...recordsIn(item['tools']));
      default:
        if (UNREADABLE.has(type)) this.refused ??= type;
        return this.#append(type.endsWith('_output') ? 'user' : 'assistant', [{ type: 'foreign', name: type }]);
    }
  }

  #call(item: Fields, kind: 'function' | 'custom', text: string): void {
    const id = textIn(item['call_id']);
    const name = flatToolName(textOrNull(item['namespace']), textIn(item['name']));
    this.#toolNames.set(id, name);
    this.#append('assistant', [{ type: 'tool_call', id, name, kind, arguments: text, opaque: null }]);
  }

  #result(item: Fields): void {
    const callId = textIn(item['call_id']);
    const { output } = item;
    const parts: RequestPart[] = typeof output === 'string' ? [{ type: 'text', text: output }] : contentParts(output);
    this.#append('user', [
      { type: 'tool_result', callId, name: this.#toolNames.get(callId) ?? null, parts, isError: item['status'] === 'incomplete' },
    ]);
  }

  #append(role: Turn['role'], parts: readonly RequestPart[]): void {
    if (parts.length === 0) return;
    const last = this.turns.at(-1);
    if (last?.role === role && role !== 'system') last.parts.push(...parts);
    else this.turns.push({ role, parts: [...parts] });
  }
}

function roleOf(role: unknown): Turn['role'] {
  if (role === 'system' || role === 'developer') return 'system';
  return role === 'assistant' ? 'assistant' : 'user';
}

function reasoningPart(item: Fields): RequestPart {
  const texts = [...recordsIn(item['summary']), ...recordsIn(item['content'])].map((part) => textIn(part['text']));
  const encrypted = textOrNull(item['encrypted_content']);
  const opaque: Opaque | null = encrypted === null ? null : { dialect: 'openai-responses', value: encrypted };
  return { type: 'reasoning', text: texts.join('\n\n'), opaque };
}

function contentParts(content: unknown): RequestPart[] {
  if (typeof content === 'string') return content === '' ? [] : [{ type: 'text', text: content }];
  return recordsIn(content).flatMap(contentPart);
}

function contentPart(part: Fields): RequestPart[] {
  switch (part['type']) {
    case 'input_text':
    case 'output_text':
    case 'text':
    case 'summary_text':
      return textIn(part['text']) === '' ? [] : [{ type: 'text', text: textIn(part['text']) }];
    case 'refusal':
      return [{ type: 'refusal', text: textIn(part['refusal']) }];
    case 'input_image':
      return [{ type: 'image', source: sourceOf(part, 'image_url'), detail: textOrNull(part['detail']) }];
    case 'input_file':
      return [{ type: 'file', source: fileSource(part), name: textOrNull(part['filename']) }];
    case 'input_audio':
      return audioPart(part['input_audio']);
    default:
      return [{ type: 'foreign', name: textOrNull(part['type']) ?? 'content' }];
  }
}

function sourceOf(part: Fields, name: string): MediaSource {
  const id = textOrNull(part['file_id']);
  return id === null ? sourceOfUrl(textIn(part[name])) : { kind: 'file_id', id };
}

/** Bare base64 is taken as a PDF. */
function fileSource(part: Fields): MediaSource {
  const data = textOrNull(part['file_data']);
  if (data === null) return sourceOf(part, 'file_url');
  return data.startsWith('data:') ? sourceOfUrl(data) : { kind: 'data', mime: 'application/pdf', base64: data };
}

function audioPart(audio: unknown): RequestPart[] {
  const fields = isRecord(audio) ? audio : {};
  const format = textOrNull(fields['format']) ?? 'wav';
  const mime = format === 'mp3' ? 'audio/mpeg' : `audio/${format}`;
  return [{ type: 'audio', source: { kind: 'data', mime, base64: textIn(fields['data']) }, format }];
}
