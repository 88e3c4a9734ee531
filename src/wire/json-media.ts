/**
 * Estimates the input tokens of media inside a request. Providers bill an image or a page by its content and never by its base64 bytes, so
 * each counts as a constant; text is counted by its bytes, elsewhere.
 *
 * The JSON scanner calls these functions for string values only, with the name of the member that holds the string and the name of its
 * parent: `image_url.url`, `input_audio.data`, `file.file_data`.
 */
export const IMAGE_TOKENS = 1_500;
export const PAGE_TOKENS = 2_000;
/** A document's page count is unknown: this many bytes count as one page, and each document as at least one. */
export const BYTES_PER_PAGE = 65_536;
/** 128 kbit/s, a common rate for speech. */
export const AUDIO_BYTES_PER_SECOND = 16_000;
export const AUDIO_TOKENS_PER_SECOND = 10;
/** A video's length is unknown: 30 seconds at the usual 300 tokens per second. */
export const VIDEO_TOKENS = 9_000;

/** Shorter strings are not checked for `data:` unless their member's name is in the table below. */
export const DATA_URL_LENGTH_MIN = 128;

export const KEY_NONE = 0;
const KEY_URL = 1;
const KEY_DATA = 2;
const KEY_IMAGE_URL = 3;
const KEY_VIDEO_URL = 4;
const KEY_INPUT_AUDIO = 5;
const KEY_FILE_DATA = 6;
/** Text for the model, whatever it looks like. */
const KEY_TEXT = 7;
/** Anthropic's `source`, Gemini's `inlineData`: the media type is next to `data`. */
const KEY_TYPED = 8;
const KEY_FILE_REFERENCE = 9;
/** Holds an opaque piece (`opaque/opaque.ts`). */
const KEY_OPAQUE = 10;

/** True for names that dialects use for opaque pieces, other than `data`. */
export function isOpaqueKind(kind: number): boolean {
  return kind >= KEY_FILE_REFERENCE;
}

/** True if a string under a name of this kind is an opaque piece and not media: `data` of `redacted_thinking`. */
export function isOpaqueData(kind: number, parentKind: number): boolean {
  return kind === KEY_DATA && parentKind !== KEY_TYPED && parentKind !== KEY_INPUT_AUDIO;
}

/** The kind of the member name between `start` and `end` (without quotes). Names with escapes are `KEY_NONE`. */
export function keyKind(bytes: Uint8Array, start: number, end: number): number {
  switch (end - start) {
    case 3:
      return matches(bytes, start, 'url') ? KEY_URL : KEY_NONE;
    case 4:
      if (matches(bytes, start, 'text')) return KEY_TEXT;
      return matches(bytes, start, 'data') ? KEY_DATA : KEY_NONE;
    case 6:
      if (matches(bytes, start, 'source')) return KEY_TYPED;
      return matches(bytes, start, 'thread') ? KEY_OPAQUE : KEY_NONE;
    case 7:
      if (matches(bytes, start, 'content')) return KEY_TEXT;
      if (matches(bytes, start, 'fileUri')) return KEY_OPAQUE;
      return matches(bytes, start, 'file_id') ? KEY_FILE_REFERENCE : KEY_NONE;
    case 8:
      if (matches(bytes, start, 'file_uri')) return KEY_OPAQUE;
      return matches(bytes, start, 'file_url') ? KEY_FILE_REFERENCE : KEY_NONE;
    case 9:
      if (matches(bytes, start, 'image_url')) return KEY_IMAGE_URL;
      if (matches(bytes, start, 'video_url')) return KEY_VIDEO_URL;
      if (matches(bytes, start, 'signature') || matches(bytes, start, 'container')) return KEY_OPAQUE;
      return matches(bytes, start, 'file_data') ? KEY_FILE_DATA : KEY_NONE;
    case 10:
      return matches(bytes, start, 'inlineData') ? KEY_TYPED : KEY_NONE;
    case 11:
      if (matches(bytes, start, 'inline_data')) return KEY_TYPED;
      return matches(bytes, start, 'input_audio') ? KEY_INPUT_AUDIO : KEY_NONE;
    case 12:
      return matches(bytes, start, 'conversation') ? KEY_OPAQUE : KEY_NONE;
    case 13:
      return matches(bytes, start, 'cachedContent') ? KEY_OPAQUE : KEY_NONE;
    case 14:
      return matches(bytes, start, 'cached_content') ? KEY_OPAQUE : KEY_NONE;
    case 16:
      return matches(bytes, start, 'thoughtSignature') || matches(bytes, start, 'vector_store_ids') ? KEY_OPAQUE : KEY_NONE;
    case 17:
      return isEncryptedName(bytes, start) ? KEY_OPAQUE : KEY_NONE;
    case 20:
      return matches(bytes, start, 'previous_response_id') ? KEY_OPAQUE : KEY_NONE;
    default:
      return KEY_NONE;
  }
}

function isEncryptedName(bytes: Uint8Array, start: number): boolean {
  return (
    matches(bytes, start, 'encrypted_content') || matches(bytes, start, 'thought_signature') || matches(bytes, start, 'reasoning_details')
  );
}

/**
 * Tokens of the string between `start` and `end` (without quotes) if it is media, or -1 if it is text.
 * `key` and `parentKey` are kinds that `keyKind` returned.
 */
export function mediaTokens(bytes: Uint8Array, start: number, end: number, key: number, parentKey: number): number {
  if (key === KEY_TEXT) return -1;
  if (matches(bytes, start, 'data:')) {
    const comma = bytes.subarray(start, Math.min(end, start + DATA_URL_LENGTH_MIN)).indexOf(0x2c);
    if (comma > 0) return dataUrlTokens(bytes, start + 5, start + comma, end - start - comma - 1);
  }
  switch (key === KEY_URL ? parentKey : key) {
    case KEY_IMAGE_URL:
      return IMAGE_TOKENS;
    case KEY_VIDEO_URL:
      return VIDEO_TOKENS;
    case KEY_FILE_DATA:
      return pageTokens(end - start);
    case KEY_FILE_REFERENCE:
      return PAGE_TOKENS;
    case KEY_DATA:
      if (parentKey === KEY_TYPED) return typedTokens(bytes, start, end);
      return parentKey === KEY_INPUT_AUDIO ? audioTokens(end - start) : -1;
    default:
      return -1;
  }
}

function dataUrlTokens(bytes: Uint8Array, typeStart: number, typeEnd: number, dataLength: number): number {
  if (matches(bytes, typeStart, 'image/')) return IMAGE_TOKENS;
  if (matches(bytes, typeStart, 'audio/')) return audioTokens(dataLength);
  if (matches(bytes, typeStart, 'video/')) return VIDEO_TOKENS;
  if (!matches(bytes, typeEnd - 7, ';base64')) return -1;
  if (matches(bytes, typeStart, 'text/')) return Math.ceil((dataLength * 3) / 16);
  return pageTokens(dataLength);
}

/** In bytes: the media type is searched for before the data, where all clients write it. */
const TYPE_BEFORE_MAX = 128;

function typedTokens(bytes: Uint8Array, start: number, end: number): number {
  const before = Buffer.from(bytes.buffer, bytes.byteOffset + Math.max(0, start - TYPE_BEFORE_MAX), Math.min(start, TYPE_BEFORE_MAX));
  const text = before.toString('latin1');
  const type = text.slice(Math.max(text.lastIndexOf('"source"'), text.lastIndexOf('"inline'), 0));
  if (type.includes('image/')) return IMAGE_TOKENS;
  if (type.includes('audio/')) return audioTokens(end - start);
  if (type.includes('video/')) return VIDEO_TOKENS;
  return type.includes('application/pdf') ? pageTokens(end - start) : -1;
}

function pageTokens(base64Length: number): number {
  return Math.max(1, Math.ceil((base64Length * 3) / 4 / BYTES_PER_PAGE)) * PAGE_TOKENS;
}

function audioTokens(base64Length: number): number {
  return Math.max(1, Math.ceil((base64Length * 3) / 4 / AUDIO_BYTES_PER_SECOND)) * AUDIO_TOKENS_PER_SECOND;
}

function matches(bytes: Uint8Array, start: number, ascii: string): boolean {
  for (let i = 0; i < ascii.length; i++) if (bytes[start + i] !== ascii.charCodeAt(i)) return false;
  return true;
}
