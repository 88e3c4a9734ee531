/** A JSON error with a success status that calls itself audio, an image or plain text: clients would save it as the file they asked for. */
import { asBuffer } from '../wire/bytes.ts';
import type { Failure } from '../core/facts.ts';
import { createFailure, failureFromErrorValue } from '../wire/failure.ts';
import { isRecord } from '../wire/json-values.ts';
import { findError } from '../wire/answer-error.ts';
import type { ExpectedForm } from './expected-form.ts';
import { isJson } from './expected-form.ts';

/** Bytes that begin like a JSON object are held back up to this, in bytes: errors are smaller. */
const HIDDEN_BYTES_MAX = 64 * 1024;

const MEDIA = /^\s*(audio|image|video)\//i;

/** Whether the bytes of an answer are to be looked at: media by their type, and what an endpoint answers that is known. */
export function mayHideJson(form: ExpectedForm, contentType: string | undefined): boolean {
  if (form.wants !== 'bytes' || isJson(contentType)) return false;
  return form.judgesBytes || MEDIA.test(contentType ?? '');
}

/** Whether what has come so far may be one small JSON object. */
export function mayBeJson(bytes: Uint8Array): boolean {
  return bytes.length <= HIDDEN_BYTES_MAX && /^(\xef\xbb\xbf)?\s*(\{\s*(["}]|$)|$)/.test(asBuffer(bytes).toString('latin1', 0, 64));
}

/** The error in a complete answer of that kind; null: it is none. No audio, image or video is a JSON object. */
export function hiddenFailure(bytes: Uint8Array, contentType: string | undefined): Failure | null {
  const value = parse(bytes);
  if (!isRecord(value)) return null;
  const error = findError(value);
  if (error !== null) return failureFromErrorValue(error, 'answer', bytes);
  const media = MEDIA.exec(contentType ?? '')?.[1];
  return media === undefined ? null : createFailure('malformed', 'answer', `the answer is a JSON object, and no ${media.toLowerCase()}`);
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(
      asBuffer(bytes)
        .toString()
        .replace(/^\uFEFF/, ''),
    ) as unknown;
  } catch {
    return null;
  }
}
