import type { RequestFacts } from '../../core/request.ts';

const SIZE_MAX = 12;
const UNBOUND = SIZE_MAX + 1;

/**
 * Groups calls whose time to first content is comparable: by streaming, by reasoning, and for non-streaming calls by the order of magnitude
 * of their output limit, as they are silent until all of it is generated. A number below 32.
 */
export function responseKind({
  stream,
  usesReasoning,
  outputBound,
}: Pick<RequestFacts, 'stream' | 'usesReasoning' | 'outputBound'>): number {
  const size = stream ? 0 : outputBound === null ? UNBOUND : Math.min(SIZE_MAX, 1 + Math.ceil(Math.log2(Math.max(1, outputBound)) / 2));
  return size * 2 + (usesReasoning ? 1 : 0);
}
