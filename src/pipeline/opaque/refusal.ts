/** Recognizes rejections of opaque items by their error messages. */
import type { Failure } from '../../core/facts.ts';
import { errorTexts } from '../../wire/error-texts.ts';

/** Error codes, also within the error of a relay. */
const CODES = /\b(invalid_encrypted_content|invalid_(thinking|thought|reasoning)_signature|thinking_signature_invalid)\b/i;

const TEXTS: readonly RegExp[] = [
  /bound to a different (conversation|model|organization|account|user)/i,
  /encrypted[ _](\w+ ){0,3}content\b.{0,400}\b(could not|can ?not|can't|failed to) be (verified|decrypted|decoded|parsed)/is,
  /could not be decrypted( or (parsed|decoded))?/i,
  /invalid\W{1,3}(signature|data)\W{1,3}in\W{1,3}(redacted_)?thinking/i,
  /(thinking|thought|reasoning)[ _]?signature\b.{0,60}\b(invalid|not valid|mismatch|corrupted|expired|malformed|verif)/i,
  /\b(invalid|corrupted|malformed|unverifiable|mismatched)\W{1,3}(thinking|thought|reasoning)?[ _]?signature/i,
  /signature\W{1,3}(verification failed|could not be verified|does not match|is (invalid|not valid))/i,
  /\bthinking\.(signature|data)\b/i,
  /(failed|unable) to (verify|validate|decrypt|decode)\b.{0,40}\b(thinking|thought|reasoning|signature)/i,
  /(thinking|thought|reasoning)\b.{0,40}\b(could not|can ?not|can't) be (verified|validated|decrypted|decoded)/i,
  /\bitem\b.{0,120}\bnot found\b.{0,40}\bnot persisted\b|\b(reasoning )?item with id\b.{0,80}\bnot found/is,
  /redacted_thinking\W{0,3}blocks?\b.{0,80}\bcan ?not be modified/i,
  // An agent's copy of an interrupted response may end with its reasoning.
  /\breasoning\W{0,3}was provided without its required following item/i,
];

/** A turn does not start with reasoning. */
const UNOPENED = /expected\W{1,3}(redacted_)?thinking\b.{0,80}\bfound\b|must (start|begin) with a\W{1,3}thinking\W{1,3}block/is;

/** A call without a signature. */
const UNSIGNED = /missing (a\W{1,3})?thought[ _]?signature/i;

/** The most characters of an error that are searched. */
const SEARCHED_LENGTH = 4_096;

/** True if the provider rejects an item that it can't read. Used only for requests with opaque items. */
export function refusesOpaque(failure: Failure): boolean {
  const text = textOf(failure);
  return CODES.test(text) || TEXTS.some((words) => words.test(text));
}

/** True if the provider requires reasoning at the beginning of a turn, or the signature of a call. */
export function missesPiece(failure: Failure): boolean {
  const text = textOf(failure);
  return UNOPENED.test(text) || UNSIGNED.test(text);
}

/** The whole error text; empty: none, or a rejection of the key or rate. */
function textOf({ kind, status, code, type, message, body }: Failure): string {
  if (kind !== 'error' && (kind !== 'status' || status === 401 || status === 403 || status === 429)) return '';
  return `${code ?? ''} ${type ?? ''} ${message} ${body === null ? '' : errorTexts(body)}`.slice(0, SEARCHED_LENGTH);
}
