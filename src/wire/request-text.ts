import type { RequestPart } from './model.ts';

/** The texts among the parts, each on lines of its own. */
export function textOf(parts: readonly RequestPart[]): string {
  return parts.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n');
}
