/** Detects a JSON error with a success status and a content type of audio, image or text: clients would save it as the requested file. */
import { isRecord } from '../core/json.ts';
import { asBuffer } from '../wire/bytes.ts';
import type { Failure } from '../core/facts.ts';
import { createFailure, failureFromErrorValue } from '../wire/failure.ts';
import { findError } from '../wire/response-error.ts';
import type { ExpectedForm } from './expected-form.ts';
import { isJson } from './expected-form.ts';

/** Maximum size of a body that begins like a JSON object and is buffered, in bytes; errors are smaller. */
const HIDDEN_BYTES_MAX = 64 * 1024;

const MEDIA = /^\s*(audio|image|video)\//i;

/** Whether a response in bytes may be a hidden error: by a media type, or of an endpoint whose response format is known. */
export function mayHideJson(form: ExpectedForm, contentType: string | undefined): boolean {
  if (form.wants !== 'bytes' || isJson(contentType)) return false;
  return form.judgesBytes || MEDIA.test(contentType ?? '');
}

/** Whether the bytes so far may be one small JSON object. */
export function mayBeJson(bytes: Uint8Array): boolean {
  return bytes.length <= HIDDEN_BYTES_MAX && /^(\xef\xbb\xbf)?\s*(\{\s*(["}]|$)|$)/.test(asBuffer(bytes).toString('latin1', 0, 64));
}

/** The error in a complete response; null: none. No audio, image or video is a JSON object. */
export function hiddenFailure(bytes: Uint8Array, contentType: string | undefined): Failure | null {
  const value = parse(bytes);
  if (!isRecord(value)) return null;
  const error = findError(value);
  if (error !== null) return failureFromErrorValue(error, 'answer', bytes);
  const media = MEDIA.exec(contentType ?? '')?.[1];
  return media === undefined ? null : createFailure('malformed', 'answer', `the response is a JSON object, not ${media.toLowerCase()}`);
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
