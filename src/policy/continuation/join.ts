/**
 * Whether one text can directly follow another. Targets get the text so far without trailing white space, because many providers refuse it.
 * A target that continues starts with white space of its own or within the word; one that starts over begins with a capital letter.
 */
import { contextOf, isMostlyUnspaced, isUnspaced, tailOf, wordsOf } from './context.ts';
import type { Context } from './context.ts';

const SENTENCE_END = /[.!?…。！？]["'”’»)\]*_]*$/u;
/** After these, a text may continue with anything, without a space. */
const OPENERS = /["'“‘«„([{*_#/\\@$<\-&~`]$/u;
/** Addresses and abbreviations continue right after their dots and colons. */
const DOTTED_WORD = /(?:[./@:_]\S*|\b\p{L})[.:]$/u;
/** A heading or a code block. */
const BLOCK_BEGIN = /^(?:#{1,6}\s+\S|```\w|~~~\w)/;
/** Punctuation of scripts without spaces. */
const UNSPACED_MARK = /[、。「」『』，！？：；（）]/u;
const ONLY_WORDS = /^[\p{L}\p{M}\s,'’-]{30,}/u;
const CODE_BEHIND_NAME = /^[\p{L}\p{N}_]*\s*[(.,;:=[\])}{<>"'`]/u;

/** `delivered`: the delivered text, with its white space. `next`: the new text, without repeated parts. */
export function isJoinable(delivered: string, next: string): boolean {
  const sent = delivered.trimEnd();
  const context = contextOf(sent);
  const begin = next.trimStart();
  const supplied = begin.length < next.length;
  const between = delivered.slice(sent.length) + next.slice(knownSpace(delivered.slice(sent.length), next), next.length - begin.length);
  if (UNSPACED_MARK.test(begin[0] ?? '') && !isMostlyUnspaced(sent)) return false;
  if (between === '') return canTouch(sent, begin, context);
  if (!supplied && (/^[\p{Lu}\p{Lt}\p{Lo}]/u.test(begin) || BLOCK_BEGIN.test(begin))) return false;
  if (context.inCode) return !isSentenceInCode(begin, context);
  return between.includes('\n') ? canFollowInNewLine(sent, begin, between, context) : canFollowInLine(sent, begin, context);
}

function canTouch(sent: string, begin: string, context: Context): boolean {
  const tail = tailOf(sent);
  const first = String.fromCodePoint(begin.codePointAt(0)!);
  if (BLOCK_BEGIN.test(begin)) return false;
  if (!/\p{L}/u.test(first) || isUnspaced(first)) return true;
  const isCapital = /[\p{Lu}\p{Lt}]/u.test(first);
  if (/^`+$/.test(context.lastLine)) return !isCapital;
  if (context.inCode) {
    // In a string too, a long sentence with a capital may be part of it, or the response started over.
    if (isCapital && (!(/["'`]$/.test(tail) || CODE_BEHIND_NAME.test(begin)) || ONLY_WORDS.test(begin))) return false;
    return !isSentenceInCode(begin, context);
  }
  if (isAcronym(tail, begin)) return true;
  // An elided article and a list marker are followed by a lower-case letter or a space.
  if (isCapital) return OPENERS.test(tail) && !/\p{L}['’]$/u.test(tail) && !/^(?:[-+#]+|\*)$/.test(context.lastLine);
  if (/[.!?…,;:)\]]$/u.test(tail)) return DOTTED_WORD.test(tail);
  return !losesSpace(sent, begin);
}

/** `NA|SA`, `U|RL` */
function isAcronym(sent: string, begin: string): boolean {
  const left = /\p{Lu}+$/u.exec(sent)?.[0] ?? '';
  const right = /^\p{Lu}+(?!\p{Ll})/u.exec(begin)?.[0] ?? '';
  return left !== '' && right !== '' && left.length + right.length > 2;
}

/** Only words, where there is neither a comment nor a string. */
function isSentenceInCode(begin: string, { lastLine }: Context): boolean {
  return ONLY_WORDS.test(begin) && !/^(?:\/\/|\/?\*|#|--|;|%|<!--|\/\/\/)|["'`]/.test(lastLine);
}

/** Two words that occurred separately before, but never as one word: the space between them is missing. */
function losesSpace(sent: string, begin: string): boolean {
  const left = /[\p{L}\p{M}]+$/u.exec(tailOf(sent))?.[0].toLowerCase();
  const right = /^[\p{L}\p{M}]+/u.exec(begin)?.[0].toLowerCase();
  // Single letters are words and prefixes in many languages.
  if (left === undefined || right === undefined || left.length < 2 || right.length < 2) return false;
  const known = new Set(wordsOf(sent.slice(0, -left.length)));
  return known.has(left) && known.has(right) && !known.has(left + right);
}

/** A paragraph ends with a sentence, or is of a kind that needs none. */
function canFollowInNewLine(sent: string, begin: string, between: string, context: Context): boolean {
  if (context.isLoose || SENTENCE_END.test(tailOf(sent)) || /[:;)\]"”»|`>*_-]$/u.test(tailOf(sent))) return true;
  if (/\n[^\S\n]*\n/.test(between)) return false;
  // A single line break within a sentence: verse, or text with hard line breaks, if there were others before.
  return /[\p{L},]\n\p{L}/u.test(sent) || /^[^\p{Lu}]/u.test(begin);
}

/** A capital within a sentence, on a word that does not need one, starts another sentence. */
function canFollowInLine(sent: string, begin: string, context: Context): boolean {
  if (BLOCK_BEGIN.test(begin)) return false;
  const tail = tailOf(sent);
  if (SENTENCE_END.test(tail) || context.isLoose || OPENERS.test(tail) || /[:)\]]$/u.test(tail)) return true;
  const word = /^\p{Lu}[\p{Ll}\p{M}]*(?![\p{L}\p{N}])/u.exec(begin)?.[0];
  if (word === undefined || word.toLowerCase() === word) return true;
  const small = word.toLowerCase();
  return !new RegExp(`(?<![\\p{L}\\p{N}])${small}(?![\\p{L}\\p{N}])`, 'u').test(sent);
}

/** How much of the leading white space of the new text was delivered before: targets do not see trailing white space. */
export function knownSpace(trimmed: string, next: string): number {
  const space = /^\s*/.exec(next)![0];
  if (space.startsWith(trimmed)) return trimmed.length;
  return trimmed.startsWith(space) ? space.length : 0;
}
