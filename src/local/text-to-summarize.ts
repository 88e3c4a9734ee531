/** Which text of a conversation a summary is of: its last message of the user, without the words that ask for a summary. */
import type { ChatMessage } from './engine.ts';

/** The wish stands in a paragraph or line of no more than this, in characters. */
const WISH_LENGTH_MAX = 400;

/** How one asks for it, in the languages that most ask in. */
const WISH =
  /\bsummar(y|ies|i[sz])|\btl;?dr\b|\bcondense\b|\bin (one|two|three|a few|\d+) (short )?(sentence|paragraph|word|bullet)|zusammenfass|fass(e|en sie)? .{0,80}zusammen|résum|\bresum|riassu|sunto|samenva|sammanfatt|sammendrag|resumé|streszcz|podsumuj|кратк|резюм|сумар|özetle|tóm tắt|ringkas|要約|まとめ|总结|總結|摘要|概括|요약|सारांश|ملخص|لخص/iu;

/** Empty: there is none. */
export function textToSummarize(messages: readonly ChatMessage[]): string {
  const said = messages.filter(({ role }) => role === 'user').map(({ content }) => content.trim());
  for (const text of said.toReversed()) {
    const rest = withoutWish(text);
    if (rest !== '') return rest;
  }
  // Nothing but wishes: their own words are all there is.
  return said.at(-1) ?? '';
}

/** The text without a first or last paragraph that asks for a summary; empty: it was nothing else. */
function withoutWish(text: string): string {
  const paragraphs = text.split(/\n+/).filter((paragraph) => paragraph.trim() !== '');
  const first = paragraphs[0] ?? '';
  if (isWish(first)) paragraphs.shift();
  else if (isWish(paragraphs.at(-1) ?? '')) paragraphs.pop();
  else return withoutLeadIn(text);
  return paragraphs.join('\n').trim();
}

/** `Summarize this: The harbour …` in one line. */
function withoutLeadIn(text: string): string {
  const colon = text.search(/[:：]\s/);
  if (colon < 0 || colon > WISH_LENGTH_MAX || !WISH.test(text.slice(0, colon))) return text;
  return text.slice(colon + 1).trim();
}

function isWish(paragraph: string): boolean {
  const text = paragraph.trim();
  const colon = text.search(/[:：]\s+\S/);
  // What follows a colon may be the text itself.
  return (
    text.length <= WISH_LENGTH_MAX &&
    WISH.test(text) &&
    (colon < 0 || (text.length - colon < 80 && !/[.!?。]\s*$/u.test(text.slice(colon))))
  );
}
