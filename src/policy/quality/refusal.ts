/**
 * Whether a text is a refusal, by its opening words, for models that refuse in plain text. Conservative: a refusal is in the first person
 * (`I`, `we`, an assistant) and states in its first sentence that the request will not be fulfilled. Expressions of regret alone, quoted
 * refusals, and responses that later mention what they omit do not count. Covers English, German, French, Spanish, Italian, Portuguese,
 * Chinese and Japanese; refusals in other languages are not detected.
 *
 * The expressions have no nested repetition, and only see the first 200 characters.
 */

/** The length of the opening, in characters. */
export const OPENING_CHARS = 200;

const sorry = String.raw`(?:(?:i['’]?m|i am|we['’]?re|we are)?(?: (?:so|very|really|truly|deeply))? ?(?:sorry|afraid)|my apologies|apologies|i apologi[sz]e|unfortunately|regrettably)`;
const cant = String.raw`(?:can['’]?t|cannot|can not|won['’]?t(?: be able to)?|will not(?: be able to)?|(?:am |['’]?m )(?:unable|not able|not going|not comfortable)(?: to)?|must (?:decline|refuse)(?: to)?|have to decline(?: to)?|don['’]?t feel comfortable)`;
/** The verbs that a refusal declines. "I can't stress enough", "I can't wait" and "I am unable to attend" are not refusals. */
const verbs = String.raw`(?:assist|help|comply|fulfil+|provide|create|write|generate|produce|answer|respond|engage|continue|discuss|do (?:that|this|so)|complete|translate|summari[sz]e|process|creating|providing|writing|generating|helping|assisting|discussing)`;
const adverb = '(?:directly|really|actually|currently|ethically|knowingly|in good conscience)';

const OPENINGS: readonly RegExp[] = [
  new RegExp(String.raw`^(?:${sorry}[,;:.!]?(?: but)?(?: that)?,? )?(?:i|we) ?${cant}(?: ${adverb})?(?: with)? ${verbs}\b`),
  /^as an? (?:ai|artificial intelligence|(?:large )?language model)[^.!?\n]{0,60}\b(?:can['’]?t|cannot|won['’]?t|am not able|['’]?m not able|am unable|['’]?m unable|must decline)\b/,
  new RegExp(
    String.raw`^${sorry}[,;:.!]? (?:but )?(?:this|that|your) (?:request|prompt|question|content) (?:is|was|violates|goes|falls|may violate)\b`,
  ),
  /^(?:es )?(?:tut mir (?:sehr )?leid|entschuldigung|leider)[,.!:]? ?(?:aber )?(?:dabei |das |dazu )?(?:kann|darf|werde) ich\b[^.!?\n]{0,80}\b(?:nicht|keine?[nmrs]?)\b/,
  /^(?:je suis )?(?:désolée?|navrée?)[,.!:]? ?(?:mais )?je ne (?:peux|suis|puis)\b/,
  /^(?:lo siento|lo lamento|perdón|disculpa|disculpe)[,.!:]? ?(?:pero )?no (?:puedo|podemos|me es posible)\b/,
  /^mi dispiace[,.!:]? ?(?:ma )?non (?:posso|sono in grado)\b/,
  /^(?:desculpe|sinto muito|lamento)[,.!:]? ?(?:mas )?(?:eu )?não (?:posso|consigo)\b/,
  /^(?:很抱歉|非常抱歉|抱歉|对不起|對不起)[,，。!！]? ?(?:但)?(?:我|作为)[^。！？\n]{0,20}(?:无法|不能|無法|没有办法)/,
  /^(?:申し訳(?:ありません|ございません)|すみません|恐れ入りますが)[^。！？\n]{0,60}(?:できません|できかねます|お答えできない|いたしかねます)/,
];

/** The ways in which the expressions above can start, in lower case. */
const FIRST_WORDS: readonly string[] = [
  "i'm", 'i’m', 'im ', 'i am', 'i can', 'i won', 'i will not', 'i must', 'i have to', 'i don', 'we', 'my apologies', 'apologies', 'i apologi', 'unfortunately',
  'regrettably', 'sorry', 'as a', 'es tut', 'tut mir', 'entschuldigung', 'leider', 'je suis', 'désolé', 'navré', 'lo siento', 'lo lamento', 'perdón',
  'disculp', 'mi dispiace', 'desculpe', 'sinto', 'lamento', '很抱歉', '非常抱歉', '抱歉', '对不起', '對不起', '申し訳', 'すみません', '恐れ入り', 'so sorry', 'very sorry',
]; // prettier-ignore

/** Formatting characters before the first word. */
const DECORATION = /^[\s"'“”‘>#-]+/;

function opening(text: string): string {
  return text
    .slice(0, OPENING_CHARS * 2)
    .replace(/[*_]/g, '')
    .replace(DECORATION, '')
    .replace(/\s+/g, ' ')
    .slice(0, OPENING_CHARS)
    .toLowerCase();
}

/** True if the text starts like a refusal. */
export function isRefusal(text: string): boolean {
  const words = opening(text);
  return OPENINGS.some((pattern) => pattern.test(words));
}

/** For an incomplete text: true if it may still become a refusal. */
export function mayBeRefusal(begun: string): boolean {
  const words = opening(begun);
  if (words.length >= OPENING_CHARS) return isRefusal(begun);
  return FIRST_WORDS.some((first) => (words.length < first.length ? first.startsWith(words) : words.startsWith(first)));
}
