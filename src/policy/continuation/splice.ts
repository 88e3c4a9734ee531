/**
 * Whether what a target says to a partial answer is its continuation, and where it begins. Models asked to go on may begin
 * again, repeat the last words, talk about going on, or answer in another language, and a wrong splice is worse than none:
 * nobody sees it. So nothing is taken on trust: a text is held back until there is enough of it, and where a doubt remains it
 * is refused. The caller gets an honest error then.
 */
import { contextOf, isInFence } from './context.ts';
import { JsonPrefix } from '../../core/json-prefix.ts';
import { isJoinable, knownSpace } from './join.ts';
import { sameLanguage } from './language.ts';
import { repeatedTail } from './overlap.ts';
import { hasPreamble } from './preamble.ts';
import { startsOver } from './starts-over.ts';

/**
 * - `starts_over`: it tells again what was told
 * - `repeats`: it repeats the last words, and how many can't be told
 * - `preamble`: it talks about the answer
 * - `language`: it changes the language, or it can't be told
 * - `break`: it does not fit to where the text broke off
 * - `nothing`: it says nothing more
 * - `other_content`: it holds something other than text
 */
export const SPLICE_REFUSALS = ['starts_over', 'repeats', 'preamble', 'language', 'break', 'nothing', 'other_content'] as const;
export type SpliceRefusal = (typeof SPLICE_REFUSALS)[number];

export type SpliceDecision =
  | { readonly kind: 'wait' }
  /** The text goes on, but for its first `drop` characters. */
  | { readonly kind: 'join'; readonly drop: number }
  | { readonly kind: 'refuse'; readonly why: SpliceRefusal };

/** So much of the new text is held back, in characters beyond what it repeats. */
export const HELD_CHARS = 240;
/** The same at most, where code comes first and no language shows yet; a longer block of code is trusted. */
export const HELD_CHARS_MAX = 2_000;
/** With less than this nobody can say what goes on with it, in characters without white space. */
const CONTINUABLE_CHARS_MIN = 24;

const WAIT: SpliceDecision = { kind: 'wait' };

/** True if it can be told what goes on with a text: there is enough of it, and it does not break off within a character. */
export function isContinuable(told: string): boolean {
  return told.replaceAll(/\s/g, '').length >= CONTINUABLE_CHARS_MIN && !/[\ud800-\udbff\ufffd]$/.test(told);
}

/** `told`: the text that went out. `next`: what the target says to it, so far; `isAll`: that is all it says. */
export function decideSplice(told: string, next: string, isAll: boolean): SpliceDecision {
  if (next.length < HELD_CHARS && !isAll) return WAIT;
  if (next.trim() === '') return refuse('nothing');
  const sent = told.trimEnd();
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
  if (isJson ? !json.read(rest) || (isAll && !json.isComplete) : !isJoinable(told, rest)) return refuse('break');
  const language = sameLanguage(told, rest, isInFence(sent), isAll);
  if ((language === 'unknown' || language === 'none') && !isAll && next.length < HELD_CHARS_MAX) return WAIT;
  // Code and JSON have few words, and those of no language.
  const isWordless = isJson || (inCode && !isInFence(sent));
  if (language === 'no' || (language === 'unknown' && isAll && !isWordless)) return refuse('language');
  return { kind: 'join', drop: repeated + knownSpace(told.slice(sent.length), rest) };
}

function refuse(why: SpliceRefusal): SpliceDecision {
  return { kind: 'refuse', why };
}
