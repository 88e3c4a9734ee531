import { Buffer } from 'node:buffer';

/** The same memory with Buffer's methods; nothing is copied. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** 3 if the bytes open with a UTF-8 byte order mark, else 0. */
export function byteOrderMarkLength(bytes: Uint8Array): 0 | 3 {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
}

/** True if a text holds nothing but white space and control characters, after its byte order mark. */
export function isBlank(bytes: Uint8Array): boolean {
  for (let i = byteOrderMarkLength(bytes); i < bytes.length; i++) if (bytes[i]! > 0x20) return false;
  return true;
}
