/** Small questions about a head, whose names and values stand in turn. */
import type { HeaderPairs } from '../core/headers.ts';

/** Whether a header's value names a stream of events. */
export function isEventStream(value: string): boolean {
  return value.startsWith('text/event-stream');
}

export function isLoopbackAddress(address: string | undefined): boolean {
  return address !== undefined && (address.startsWith('127.') || address === '::1' || address.startsWith('::ffff:127.'));
}

/** Whether the head says where its body ends. */
export function hasLength(headers: HeaderPairs): boolean {
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    if (name === 'content-length' || name === 'transfer-encoding') return true;
  }
  return false;
}

/** Of a flat list: keeps a name or value if both of its pair may stand in a head. */
export function isPrintablePair(_: string, index: number, headers: string[]): boolean {
  const name = headers[index - (index % 2)]!;
  const value = headers[index - (index % 2) + 1] ?? '';
  return /^[\w!#$%&'*+.^`|~-]+$/.test(name) && !/[^\t\x20-\x7e\x80-\xff]/.test(value);
}
