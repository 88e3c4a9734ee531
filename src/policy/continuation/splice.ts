/**
 * Whether the output of a target that was given a partial response continues it, and where the new text begins. Models that are asked to
 * continue may start over, repeat the last words, comment on the task, or change the language, and a wrong splice is worse than none
 * because it goes unnoticed. So the new text is held back until there is enough of it to decide, and in case of doubt it is refused; the
 * caller then gets an error.
 */
import { contextOf, isInFence } from './context.ts';
import { JsonPrefix } from '../../core/json-prefix.ts';
import { isJoinable, knownSpace } from './join.ts';
import { sameLanguage } from './language.ts';
import { repeatedTail } from './overlap.ts';
import { hasPreamble } from './preamble.ts';
import { startsOver } from './starts-over.ts';

/**
 * - `starts_over`: it repeats the response from an earlier point
 * - `repeats`: it repeats the last words, to an unclear extent
 * - `preamble`: it comments on the response
 * - `language`: it changes the language, or the language is unclear
 * - `break`: it does not fit the point where the text broke off
 * - `nothing`: it is empty
 * - `other_content`: it contains something other than text
 */
export const SPLICE_REFUSALS = ['starts_over', 'repeats', 'preamble', 'language', 'break', 'nothing', 'other_content'] as const;
export type SpliceRefusal = (typeof SPLICE_REFUSALS)[number];

export type SpliceDecision =
  | { readonly kind: 'wait' }
  /** The text continues after its first `drop` characters. */
  | { readonly kind: 'join'; readonly drop: number }
  | { readonly kind: 'refuse'; readonly why: SpliceRefusal };

/** This much of the new text is held back, in characters beyond what it repeats. */
export const HELD_CHARS = 240;
/** The maximum where the new text starts with code and its language is still unknown; a longer code block is accepted. */
export const HELD_CHARS_MAX = 2_000;
/** A shorter text, in characters without white space, gives too little evidence to check a continuation. */
const CONTINUABLE_CHARS_MIN = 24;

const WAIT: SpliceDecision = { kind: 'wait' };

/** True if a continuation of this text can be checked: it is long enough, and does not end within a character. */
export function isContinuable(delivered: string): boolean {
  return delivered.replaceAll(/\s/g, '').length >= CONTINUABLE_CHARS_MIN && !/[\ud800-\udbff\ufffd]$/.test(delivered);
}

/** `delivered`: the delivered text. `next`: the output of the target so far; `isAll`: it is complete. */
export function decideSplice(delivered: string, next: string, isAll: boolean): SpliceDecision {
  if (next.length < HELD_CHARS && !isAll) return WAIT;
  if (next.trim() === '') return refuse('nothing');
  const sent = delivered.trimEnd();
  const { inCode } = contextOf(sent);
  if (hasPreamble(next)) return refuse('preamble');
  const repeated = repeatedTail(sent, next);
  const rest = repeated === 'doubtful' ? next : next.slice(repeated);
  if (next.trimStart().startsWith(sent.trimStart()) || startsOver(sent, rest, inCode)) return refuse('starts_over');
  if (repeated === 'doubtful') return refuse('repeats');
  if (rest.length < HELD_CHARS && !isAll) return WAIT;
  if (rest.trim() === '') return refuse('nothing');
  if (repeated > 0 && hasPreamble(rest)) return refuse('preamble');
  const json = JsonPrefix.of(sent);
  const isJson = json !== null && !json.isComplete;
  if (isJson ? !json.read(rest) || (isAll && !json.isComplete) : !isJoinable(delivered, rest)) return refuse('break');
  const language = sameLanguage(delivered, rest, isInFence(sent), isAll);
  if ((language === 'unknown' || language === 'none') && !isAll && next.length < HELD_CHARS_MAX) return WAIT;
  // Code and JSON contain few words of any language.
  const isWordless = isJson || (inCode && !isInFence(sent));
  if (language === 'no' || (language === 'unknown' && isAll && !isWordless)) return refuse('language');
  return { kind: 'join', drop: repeated + knownSpace(delivered.slice(sent.length), rest) };
}

function refuse(why: SpliceRefusal): SpliceDecision {
  return { kind: 'refuse', why };
}
