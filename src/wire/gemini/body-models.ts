/**
 * Models that a Gemini request names in its body, beside the one in its path: `requests[].model` of batchEmbedContents, `generateContentRequest.model`
 * of countTokens, `model` of embedContent. All have to be the model of the path, and are replaced along with it.
 */
import { Buffer } from 'node:buffer';
import { parseExact } from '../json-exact.ts';
import { isRecord } from '../json-values.ts';
import { listOf } from '../loose-values.ts';
import { writeJson } from '../write-json.ts';

export type BodyModels =
  | {
      readonly ok: true;
      /** The body without the models. */
      readonly rest: Uint8Array;
      /** The body, divided at each model's place. */
      readonly pieces: readonly Uint8Array[];
    }
  | { readonly ok: false; readonly message: string };

/** Stands for a model while the body is written. */
const PLACE = '\u0000model';

/** Null: the body names no model, or is not a JSON object. `model`: of the path. */
export function readBodyModels(bytes: Uint8Array, model: string): BodyModels | null {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!text.includes('"model"')) return null;
  let body: unknown;
  try {
    body = parseExact(text.toString());
  } catch {
    return null;
  }
  if (!isRecord(body)) return null;
  const named = [body, body['generateContentRequest'], ...listOf(body['requests'])]
    .filter(isRecord)
    .filter((part) => Object.hasOwn(part, 'model'));
  if (named.length === 0) return null;
  for (const part of named) {
    const name = part['model'];
    if (name !== model && name !== `models/${model}`)
      return { ok: false, message: `'model' in the body must be the model of the path, models/${model}` };
    part['model'] = PLACE;
  }
  const pieces = writeJson(body).split(JSON.stringify(PLACE));
  if (pieces.length !== named.length + 1) return { ok: false, message: 'the body has a text that starts with a control character' };
  for (const part of named) delete part['model'];
  return { ok: true, rest: Buffer.from(writeJson(body)), pieces: pieces.map((piece) => Buffer.from(piece)) };
}
