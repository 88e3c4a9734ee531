/** Checks on header lists of alternating names and values. */
import type { HeaderPairs } from '../core/headers.ts';

/** Whether a header value is the media type of an event stream. */
export function isEventStream(value: string): boolean {
  return value.startsWith('text/event-stream');
}

export function isLoopbackAddress(address: string | undefined): boolean {
  return address !== undefined && (address.startsWith('127.') || address === '::1' || address.startsWith('::ffff:127.'));
}

/** Whether the head delimits its body. */
export function hasLength(headers: HeaderPairs): boolean {
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    if (name === 'content-length' || name === 'transfer-encoding') return true;
  }
  return false;
}

/** A filter for a flat list: true if both name and value of the pair are valid in a head. */
export function isPrintablePair(_: string, index: number, headers: string[]): boolean {
  const name = headers[index - (index % 2)]!;
  const value = headers[index - (index % 2) + 1] ?? '';
  return /^[\w!#$%&'*+.^`|~-]+$/.test(name) && !/[^\t\x20-\x7e\x80-\xff]/.test(value);
}
