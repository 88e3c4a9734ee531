/** Whether a text continues in the language of another one, by its script and by the most common words of the language. */
import { isMostlyUnspaced, proseOf, tailOf, weightOf, wordsOf } from './context.ts';

/** This much of the preceding text is used, in characters from its end. */
const DELIVERED_CHARS = 1_500;
/** The least number of letters for detection. */
const DELIVERED_WEIGHT_MIN = 16;
const WORDLESS_CHARS = 200;
const NEXT_WEIGHT_MIN = 20;
const LONG_WEIGHT = 50;

/** `none`: it contains no prose; `unknown`: too little to decide. */
export function sameLanguage(delivered: string, next: string, nextInCode: boolean, isAll: boolean): 'yes' | 'no' | 'none' | 'unknown' {
  const before = proseOf(delivered).slice(-DELIVERED_CHARS);
  const after = proseOf(next, nextInCode);
  const weight = weightOf(after);
  // A long text without prose is code, numbers or a table: it has no language.
  if (weightOf(before) < DELIVERED_WEIGHT_MIN) return delivered.length > WORDLESS_CHARS ? 'yes' : 'unknown';
  if (hasOtherScript(before, after)) return 'no';
  if (!/\p{L}/u.test(next)) return 'yes';
  if (weight === 0) return 'none';
  // While the response is incomplete, wait for more text.
  if (weight < (isAll ? NEXT_WEIGHT_MIN : LONG_WEIGHT)) return isAll && areKnown(delivered, next) ? 'yes' : 'unknown';
  if (isMostlyUnspaced(before)) return 'yes';
  return sameWords(before, after);
}

/**
 * The most common short words of languages that share a script. A text in a language that is not listed is `unknown`, unless its script is
 * used by no listed one.
 */
const COMMON_WORDS: Readonly<Record<string, string>> = {
  en: 'the and of to in is it that are be was for with on as by at from this have not or but which they their can so you we i has will would were been its',
  de: 'der die das und ist nicht ein eine einen zu den dem des im in mit von für auf sich auch es sie wir ich werden wird sind als an bei oder aber wenn dass wie hat',
  fr: "le la les des et est un une du dans que qui pour pas sur avec au aux ce cette il elle nous vous je ne se sont par plus ou mais été leur où d l qu n s",
  es: 'el la los las y es un una de del en que por para con no se lo su al como más pero son fue está este esta ha hay cuando muy sin',
  it: 'il lo la gli le di e è un una del della dei delle che non per con si sono da in nel nella come più ma anche al alla ha questo questa ogni',
  pt: 'o a os as e é um uma de do da dos das em no na nos nas que não para com se por mais como mas ao são foi está seu sua isso muito quando',
  nl: 'de het een en van is in op dat die niet te met voor zijn er aan ook als maar om door bij uit naar wordt worden hebben heeft nog wel',
  sv: 'och att det som en ett är av för på med den inte till har de om så men var sig från kan vi när',
  da: 'og at det som en et er af for på med den ikke til har de om så men var sig fra kan vi når der',
  pl: 'i w na z się nie że do to jest o jak ale po za od przez dla są był jego który tak co czy już',
  cs: 'a v na se že je to s z do o ale jak po za pro by jsem jsou byl který ve od když také',
  tr: 've bir bu için ile da de ne çok daha gibi olarak olan var değil mi kadar sonra ama en her o ki',
  fi: 'ja on ei se että oli kun mutta myös joka hän ovat kuin niin tai sekä jos sen ole mukaan',
  ru: 'и в не на что с по это как но из за для от к у же так его она они был было все при или где',
  uk: 'і в не на що з по це як але із за для від до у же так його вона вони був було все при або де та',
  bg: 'и в не на че с по това като но от за до у се той тя те е са да при или където което',
}; // prettier-ignore
const LANGUAGES = Object.values(COMMON_WORDS).map((words) => new Set(words.split(' ')));
/** Scripts of several listed languages: Latin and Cyrillic. Any other script counts as one language. */
const SHARED_SCRIPT = /[\p{sc=Latin}\p{sc=Cyrillic}]/u;

function sameWords(before: string, after: string): 'yes' | 'no' | 'unknown' {
  if (!SHARED_SCRIPT.test(before)) return 'yes';
  const [delivered, next] = [countsOf(before), countsOf(after)];
  const expected = delivered.indexOf(Math.max(...delivered));
  const others = Math.max(...next.filter((_, language) => language !== expected));
  const isUnclear = delivered[expected] === 0 || delivered.filter((count) => count === delivered[expected]).length > 1;
  if (isUnclear || next[expected] === others) return 'unknown';
  return next[expected]! > others ? 'yes' : 'no';
}

/** The number of common words of each language in a text. */
function countsOf(text: string): number[] {
  const words = wordsOf(text);
  return LANGUAGES.map((common) => words.filter((word) => common.has(word)).length);
}

const SCRIPTS = ['Latin', 'Cyrillic', 'Greek', 'Arabic', 'Hebrew', 'Devanagari', 'Hangul', 'Thai', 'Han', 'Kana'] as const;
const KANA = SCRIPTS.indexOf('Kana');
const SCRIPT_PATTERNS = SCRIPTS.map((script) =>
  script === 'Kana' ? /[\p{sc=Hiragana}\p{sc=Katakana}]/gu : new RegExp(`\\p{sc=${script}}`, 'gu'),
);

/** Most letters are of a script that was rare before, or kana appear or disappear between Chinese and Japanese. */
function hasOtherScript(before: string, after: string): boolean {
  const [old, now] = [shares(before), shares(after)];
  if (now.some((share, at) => share > 0.5 && old[at]! < 0.05)) return true;
  return Math.min(old[KANA]!, now[KANA]!) < 0.02 && Math.max(old[KANA]!, now[KANA]!) > 0.2;
}

function shares(text: string): number[] {
  const counts = SCRIPT_PATTERNS.map((pattern) => text.match(pattern)?.length ?? 0);
  const all = counts.reduce((sum, count) => sum + count, 0);
  return counts.map((count) => (all === 0 ? 0 : count / all));
}

/** Every word has occurred before, including the one that was broken off. */
function areKnown(delivered: string, next: string): boolean {
  const fragment = /[\p{L}\p{M}\p{N}]*$/u.exec(tailOf(delivered))![0];
  // A single letter may be a whole word, or the start of one.
  if (fragment.length === 1 && /^\s/.test(next)) return false;
  const known = new Set(wordsOf(delivered.slice(0, delivered.length - fragment.length)));
  return wordsOf(fragment + next).every((word) => known.has(word));
}
