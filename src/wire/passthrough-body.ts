/**
 * Bodies that are passed through as bytes: finds the model that they name, in a top-level JSON member or a multipart field, and replaces it.
 * A body in which another parser could find a different model is rejected.
 */
import { Buffer, isUtf8 } from 'node:buffer';
import { asBuffer } from './bytes.ts';
import { ObjectScan } from './json-scan.ts';
import type { JsonFault, JsonObjectScan } from './json-scan.ts';
import { readString } from './json-values.ts';
import { foldName } from './member-names.ts';
import { modelNamesIn, namesModel } from './model-names.ts';
import type { ModelNames } from './model-names.ts';
import { isMultipart, MultipartScan } from './multipart.ts';
import type { MultipartPart } from './multipart.ts';
import type { PassthroughBody, RequestBody } from './request-body.ts';

/** `others`: every other model that the body names, without members that are `checked` elsewhere. */
export type PassthroughResult =
  | { readonly ok: true; readonly passed: PassthroughBody; readonly others: (checked?: ReadonlySet<string>) => ModelNames }
  | { readonly ok: false; readonly message: string; readonly param: string | null };

/** Read in one step of a scan. */
const STEP_BYTES = 64 * 1024;
const MODEL_BYTES_MAX = 1024;
/** A longer field that names models is not read. */
const NAMES_BYTES_MAX = 64 * 1024;

/** Reads the body step by step; a body that is not multipart is read as JSON. */
export class PassthroughScan {
  readonly #contentType: string | null;
  readonly #bytes: Uint8Array;
  readonly #multipart: MultipartScan | null;
  readonly #json: ObjectScan | null;
  #limit = 0;

  constructor(contentType: string | null, bytes: Uint8Array) {
    this.#contentType = contentType;
    this.#bytes = bytes;
    this.#multipart = isMultipart(contentType) ? new MultipartScan(contentType, bytes) : null;
    this.#json = this.#multipart === null ? new ObjectScan() : null;
    this.#json?.begin(bytes);
  }

  /** True: finished. */
  step(): boolean {
    this.#limit += STEP_BYTES;
    return this.#multipart?.step() ?? this.#json!.run(this.#limit);
  }

  /** The result, after the last step. */
  take(): PassthroughResult {
    if (this.#json !== null) return readJson(this.#contentType, this.#bytes, this.#json.take());
    const { result } = this.#multipart!;
    if (result === null || !result.ok) return { ok: false, message: result?.message ?? '', param: null };
    return readParts(asBuffer(this.#bytes), result.parts);
  }
}

/** The body with another model; the same bytes if it names none, or the same one. */
export function replaceModel({ bytes, passed }: RequestBody, model: string): Uint8Array | readonly Uint8Array[] {
  if (passed?.pieces !== undefined) {
    const name = Buffer.from(JSON.stringify(`models/${model}`));
    return passed.pieces.flatMap((piece, i) => (i === 0 ? [piece] : [name, piece]));
  }
  const place = passed?.model ?? null;
  if (place === null || place.name === model) return bytes;
  // A line break in the name would end the field; no model name has one.
  const text = place.isJson ? JSON.stringify(model) : model.replaceAll(/[\r\n]/g, '');
  return [bytes.subarray(0, place.start), Buffer.from(text), bytes.subarray(place.end)];
}

function refuse(message: string): PassthroughResult {
  return { ok: false, message, param: 'model' };
}

function readJson(contentType: string | null, bytes: Uint8Array, scan: JsonObjectScan | JsonFault): PassthroughResult {
  if (!scan.ok) return { ok: false, message: `The request body is ${scan.message}.`, param: null };
  const charset = /;\s*charset\s*=\s*"?([^\s;"]*)/i.exec(contentType ?? '')?.[1];
  if (charset !== undefined && !/^(?:utf-?8|us-ascii)$/i.test(charset))
    return refuse('A JSON body must be UTF-8, whatever its content type says.');
  let found: PassthroughBody['model'] = null;
  for (const member of scan.members) {
    if (member.name !== 'model') {
      if (foldName(member.name) === 'model')
        return refuse("A field differs from 'model' in case only: parsers disagree about which it is.");
      continue;
    }
    if (found !== null) return refuse("'model' is given twice.");
    const name = member.end - member.start > MODEL_BYTES_MAX ? null : readString(bytes, member);
    if (name === null || name === '') return refuse("'model' must be a non-empty string.");
    found = { start: member.start, end: member.end, name, isJson: true };
  }
  return { ok: true, passed: { model: found, parts: null }, others: (checked) => modelNamesIn(bytes, scan.members, checked) };
}

function readParts(bytes: Buffer, parts: readonly MultipartPart[]): PassthroughResult {
  let found: PassthroughBody['model'] = null;
  const names: string[] = [];
  let unreadable: string | null = null;
  for (const part of parts) {
    if (part.name === 'model') {
      if (found !== null) return refuse("'model' is given twice.");
      if (part.isFile || !/^(?:|text\/plain(?:;\s*charset="?(?:utf-?8|us-ascii)"?)?)$/.test(part.contentType)) {
        return refuse("'model' must be a string field, not a file.");
      }
      const value = bytes.subarray(part.start, part.end);
      if (value.length === 0 || value.length > MODEL_BYTES_MAX || !isUtf8(value)) return refuse("'model' must be a name.");
      found = { start: part.start, end: part.end, name: value.toString('utf8'), isJson: false };
    } else if (isLikeModel(part.name)) {
      return refuse("A field could be taken for 'model': parsers disagree about which it is.");
    } else if (namesModel(part.name)) {
      if (part.end - part.start > NAMES_BYTES_MAX) unreadable = part.name.slice(0, 80);
      else names.push(bytes.toString('utf8', part.start, part.end));
    }
  }
  return { ok: true, passed: { model: found, parts }, others: () => ({ names, unreadable }) };
}

/** Names that some parser takes for `model`: by case, blanks, brackets, percent-encoding, encoded words. `_charset_` changes how all are read. */
function isLikeModel(name: string): boolean {
  if (name === '_charset_' || name.startsWith('=?')) return true;
  let decoded = name;
  try {
    decoded = decodeURIComponent(name);
  } catch {
    // Not percent-encoded.
  }
  return /^\s*model\s*(?:[[.].*)?$/s.test(foldName(decoded));
}
