import type { RequestFacts } from '../../core/request.ts';

const SIZE_MAX = 12;
const UNBOUND = SIZE_MAX + 1;

/**
 * The kinds of call whose silence before first content differs: streamed or plain, thinking or not, and plain ones by the order of
 * magnitude of their bound, because they are silent as long as they write. A number below 32.
 */
export function answerKind({ stream, usesReasoning, outputBound }: Pick<RequestFacts, 'stream' | 'usesReasoning' | 'outputBound'>): number {
  const size = stream ? 0 : outputBound === null ? UNBOUND : Math.min(SIZE_MAX, 1 + Math.ceil(Math.log2(Math.max(1, outputBound)) / 2));
  return size * 2 + (usesReasoning ? 1 : 0);
}
