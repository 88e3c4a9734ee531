/** The text of a conversation to summarize: its last user message, without the words that ask for a summary. */
import type { ChatMessage } from './engine.ts';

/** Maximum length of the paragraph or line that asks for a summary, in characters. */
const INSTRUCTION_LENGTH_MAX = 400;

/** Words that ask for a summary, in the most common languages. */
const INSTRUCTION =
  /\bsummar(y|ies|i[sz])|\btl;?dr\b|\bcondense\b|\bin (one|two|three|a few|\d+) (short )?(sentence|paragraph|word|bullet)|zusammenfass|fass(e|en sie)? .{0,80}zusammen|résum|\bresum|riassu|sunto|samenva|sammanfatt|sammendrag|resumé|streszcz|podsumuj|кратк|резюм|сумар|özetle|tóm tắt|ringkas|要約|まとめ|总结|總結|摘要|概括|요약|सारांश|ملخص|لخص/iu;

/** Empty if there is no text. */
export function textToSummarize(messages: readonly ChatMessage[]): string {
  const texts = messages.filter(({ role }) => role === 'user').map(({ content }) => content.trim());
  for (const text of texts.toReversed()) {
    const rest = withoutInstruction(text);
    if (rest !== '') return rest;
  }
  // All messages are instructions: the last one is the text.
  return texts.at(-1) ?? '';
}

/** The text without a first or last paragraph that asks for a summary; empty if there is no other paragraph. */
function withoutInstruction(text: string): string {
  const paragraphs = text.split(/\n+/).filter((paragraph) => paragraph.trim() !== '');
  const first = paragraphs[0] ?? '';
  if (isInstruction(first)) paragraphs.shift();
  else if (isInstruction(paragraphs.at(-1) ?? '')) paragraphs.pop();
  else return withoutLeadIn(text);
  return paragraphs.join('\n').trim();
}

/** Handles an instruction and a text in one line: `Summarize this: The harbour …`. */
function withoutLeadIn(text: string): string {
  const colon = text.search(/[:：]\s/);
  if (colon < 0 || colon > INSTRUCTION_LENGTH_MAX || !INSTRUCTION.test(text.slice(0, colon))) return text;
  return text.slice(colon + 1).trim();
}

function isInstruction(paragraph: string): boolean {
  const text = paragraph.trim();
  const colon = text.search(/[:：]\s+\S/);
  // The text itself may follow a colon.
  return (
    text.length <= INSTRUCTION_LENGTH_MAX &&
    INSTRUCTION.test(text) &&
    (colon < 0 || (text.length - colon < 80 && !/[.!?。]\s*$/u.test(text.slice(colon))))
  );
}
