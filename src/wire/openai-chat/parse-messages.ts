/** Parses the messages of a chat request to turns. */
import { isRecord } from '../../core/json.ts';
import { listOf, recordsIn, textIn, textOrNull } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import { calledTool, isFilledCall } from './called-tool.ts';
import { sourceOfUrl } from '../media-source.ts';
import type { MediaSource, Opaque, RequestPart, ToolCall, Turn } from '../model.ts';

export class MessageReader {
  /** A message had a `name`, which other dialects have no place for. */
  hasNames = false;
  readonly #toolNames = new Map<string, string>();
  #lastFunctionCalls = 0;

  /** Null: an unknown role. */
  read(message: Fields): Turn | null {
    const role = message['role'];
    if (role === 'tool' || role === 'function') return this.#toolTurn(message);
    if (textOrNull(message['name']) !== null) this.hasNames = true;
    if (role === 'system' || role === 'developer') return { role: 'system', parts: contentParts(message['content']) };
    if (role === 'user') return { role: 'user', parts: contentParts(message['content']) };
    return role === 'assistant' ? { role: 'assistant', parts: this.#assistantParts(message) } : null;
  }

  #toolTurn(message: Fields): Turn {
    const named = textOrNull(message['name']);
    const callId = textOrNull(message['tool_call_id']) ?? `function_${named ?? ''}_${this.#lastFunctionCalls}`;
    const parts = contentParts(message['content']);
    const name = named ?? this.#toolNames.get(callId) ?? null;
    return { role: 'user', parts: [{ type: 'tool_result', callId, name, parts, isError: message['is_error'] === true }] };
  }

  #assistantParts(message: Fields): RequestPart[] {
    const parts: RequestPart[] = [];
    const reasoning = reasoningPart(message);
    if (reasoning !== null) parts.push(reasoning);
    parts.push(...contentParts(message['content']));
    const refusal = textOrNull(message['refusal']);
    if (refusal !== null) parts.push({ type: 'refusal', text: refusal });
    for (const call of recordsIn(message['tool_calls'])) parts.push(this.#toolCall(call));
    const { function_call: call, audio } = message;
    if (isFilledCall(call)) {
      this.#lastFunctionCalls++;
      const name = textIn(call['name']);
      parts.push(callPart(`function_${name}_${this.#lastFunctionCalls}`, name, 'function', textIn(call['arguments']), null));
    }
    if (isRecord(audio) && textIn(audio['id']) !== '') parts.push({ type: 'foreign', name: 'audio' });
    return parts;
  }

  #toolCall(call: Fields): ToolCall {
    const id = textIn(call['id']);
    const { kind, fields } = calledTool(call);
    const isCustom = kind === 'custom';
    const name = textIn(fields['name']);
    this.#toolNames.set(id, name);
    return callPart(id, name, kind, textIn(isCustom ? fields['input'] : fields['arguments']), thoughtSignature(call));
  }
}

function callPart(id: string, name: string, kind: ToolCall['kind'], text: string, opaque: Opaque | null): ToolCall {
  return { type: 'tool_call', id, name, kind, arguments: text.trim() === '' && kind === 'function' ? '{}' : text, opaque };
}

/** The signature of a call, as sent by Google's compatible endpoint. */
function thoughtSignature(call: Fields): Opaque | null {
  const extra = call['extra_content'];
  const google = isRecord(extra) ? extra['google'] : null;
  const value = isRecord(google) ? textOrNull(google['thought_signature']) : null;
  return value === null ? null : { dialect: 'gemini', value };
}

/** Reasoning is in a member of its own, under one of several names; OpenRouter repeats it in `reasoning_details`. */
function reasoningPart(message: Fields): RequestPart | null {
  const details = recordsIn(message['reasoning_details']);
  const text =
    textOrNull(message['reasoning_content']) ??
    textOrNull(message['reasoning']) ??
    textOrNull(message['reasoning_text']) ??
    details.map((detail) => textIn(detail['text']) || textIn(detail['summary'])).join('');
  return text === '' ? null : { type: 'reasoning', text, opaque: null };
}

function contentParts(content: unknown): RequestPart[] {
  if (typeof content === 'string') return content === '' ? [] : [{ type: 'text', text: content }];
  return listOf(content).flatMap((part) => {
    if (typeof part === 'string') return [{ type: 'text', text: part } as const];
    return isRecord(part) ? contentPart(part) : [];
  });
}

function contentPart(part: Fields): RequestPart[] {
  switch (part['type']) {
    case 'text':
    case 'input_text':
    case 'output_text':
      return textIn(part['text']) === '' ? [] : [{ type: 'text', text: textIn(part['text']) }];
    case 'refusal':
      return [{ type: 'refusal', text: textIn(part['refusal']) }];
    case 'thinking':
      return [{ type: 'reasoning', text: thinkingText(part['thinking']), opaque: null }];
    case 'image_url':
      return [imagePart(part['image_url'])];
    case 'input_audio':
      return [audioPart(part['input_audio'])];
    case 'file':
      return [filePart(part['file'])];
    default:
      return [{ type: 'foreign', name: textOrNull(part['type']) ?? 'content' }];
  }
}

/** Mistral's format: a string, or a list of text parts. */
function thinkingText(thinking: unknown): string {
  return typeof thinking === 'string'
    ? thinking
    : recordsIn(thinking)
        .map((part) => textIn(part['text']))
        .join('');
}

function imagePart(image: unknown): RequestPart {
  const url = typeof image === 'string' ? image : isRecord(image) ? textIn(image['url']) : '';
  return { type: 'image', source: sourceOfUrl(url), detail: isRecord(image) ? textOrNull(image['detail']) : null };
}

function audioPart(audio: unknown): RequestPart {
  const fields = isRecord(audio) ? audio : {};
  const format = textOrNull(fields['format']) ?? 'wav';
  const mime = format === 'mp3' ? 'audio/mpeg' : `audio/${format}`;
  return { type: 'audio', source: { kind: 'data', mime, base64: textIn(fields['data']) }, format };
}

function filePart(file: unknown): RequestPart {
  const fields = isRecord(file) ? file : {};
  const id = textOrNull(fields['file_id']);
  const source: MediaSource = id === null ? sourceOfFile(textIn(fields['file_data'])) : { kind: 'file_id', id };
  return { type: 'file', source, name: textOrNull(fields['filename']) };
}

/** A URL or `data:` URL; bare base64 is taken for a PDF. */
function sourceOfFile(data: string): MediaSource {
  return /^[a-z][a-z0-9+.-]*:/i.test(data.slice(0, 20)) ? sourceOfUrl(data) : { kind: 'data', mime: 'application/pdf', base64: data };
}
