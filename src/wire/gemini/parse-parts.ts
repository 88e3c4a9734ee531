/** Parses parts of a generateContent request. Calls and results are matched by id if they have one, otherwise by name and position. */
import { isRecord } from '../../core/json.ts';
import { recordsIn, recordsOrOne, textIn, textOrNull } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import type { MediaSource, Opaque, RequestPart } from '../model.ts';
import { POSITIONAL_ID_PREFIX } from './call-ids.ts';
import { camelCased } from './names.ts';

export class PartReader {
  #callCount = 0;
  /** Calls without a result so far. */
  #open: { readonly id: string; readonly name: string }[] = [];

  readParts(parts: unknown): RequestPart[] {
    return recordsOrOne(parts).flatMap((part) => this.#read(camelCased(part)));
  }

  #read(part: Fields): RequestPart[] {
    const opaque = signatureOf(part['thoughtSignature']);
    const { functionCall, functionResponse, inlineData, fileData } = part;
    if (isRecord(functionCall)) return [this.#call(functionCall, opaque)];
    if (isRecord(functionResponse)) return [this.#result(functionResponse)];
    if (isRecord(inlineData)) return [inlinePart(camelCased(inlineData))];
    if (isRecord(fileData)) return [filePart(camelCased(fileData))];
    const text = textIn(part['text']);
    if (part['thought'] === true) return [{ type: 'reasoning', text, opaque }];
    if (text !== '') return [{ type: 'text', text }];
    const foreign = Object.keys(part).find((name) => name !== 'text' && name !== 'thoughtSignature' && name !== 'thought');
    return foreign === undefined ? [] : [{ type: 'foreign', name: foreign }];
  }

  #call(call: Fields, opaque: Opaque | null): RequestPart {
    const id = textOrNull(call['id']) ?? `${POSITIONAL_ID_PREFIX}${this.#callCount}`;
    this.#callCount++;
    const name = textIn(call['name']);
    this.#open.push({ id, name });
    return { type: 'tool_call', id, name, kind: 'function', arguments: JSON.stringify(call['args'] ?? {}), opaque };
  }

  #result(result: Fields): RequestPart {
    const name = textIn(result['name']);
    const id = textOrNull(result['id']);
    const at = this.#open.findIndex((call) => (id === null ? call.name === name : call.id === id));
    const call = at === -1 ? undefined : this.#open.splice(at, 1)[0];
    const callId = id ?? call?.id ?? `${POSITIONAL_ID_PREFIX}${name}`;
    const { text, isError } = responseText(result['response']);
    const media = recordsIn(result['parts']).flatMap((part) => this.#read(camelCased(part)));
    return { type: 'tool_result', callId, name, parts: [{ type: 'text', text }, ...media], isError };
  }
}

/** A function response is an object; by convention its content is the single member `output`, `result` or `error`. */
function responseText(response: unknown): { readonly text: string; readonly isError: boolean } {
  if (!isRecord(response)) return { text: typeof response === 'string' ? response : JSON.stringify(response ?? {}), isError: false };
  const names = Object.keys(response);
  const only = names.length === 1 ? names[0]! : '';
  const isError = only === 'error';
  const value = only === 'output' || only === 'result' || isError ? response[only] : response;
  return { text: typeof value === 'string' ? value : JSON.stringify(value), isError };
}

function inlinePart(data: Fields): RequestPart {
  const mime = textOrNull(data['mimeType']) ?? 'application/octet-stream';
  const source: MediaSource = { kind: 'data', mime, base64: textIn(data['data']) };
  if (mime.startsWith('audio/')) return { type: 'audio', source, format: mime === 'audio/mpeg' ? 'mp3' : mime.slice('audio/'.length) };
  return mediaPart(source, mime, textOrNull(data['displayName']));
}

function filePart(data: Fields): RequestPart {
  const mime = textOrNull(data['mimeType']);
  const url = textIn(data['fileUri']);
  const isUpload = url.startsWith('gs://') || url.includes('generativelanguage.googleapis.com');
  return mediaPart(isUpload ? { kind: 'file_id', id: url } : { kind: 'url', url, mime }, mime ?? '', textOrNull(data['displayName']));
}

function mediaPart(source: MediaSource, mime: string, name: string | null): RequestPart {
  return mime.startsWith('image/') ? { type: 'image', source, detail: null } : { type: 'file', source, name };
}

function signatureOf(value: unknown): Opaque | null {
  const text = textOrNull(value);
  return text === null ? null : { dialect: 'gemini', value: text };
}
