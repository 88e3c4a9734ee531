/**
 * Continuation of a final assistant message, as some providers support it. Storm derives the complete text from the
 * prompt and returns the part after the message. Models named `partial-WAY` behave differently: `over` (starts again),
 * `reworded`, `repeat-20` (repeats characters), `chat-3` (adds a preamble), `language-de`, `nothing`.
 */
import type { Random } from '../core/random.ts';
import { createSeededRandom, hashText } from './random.ts';
import { PREAMBLES, PROSE_LANGUAGES, REWORDED, SENTENCES } from './continuation-prose.ts';
import type { ProseLanguage } from './continuation-prose.ts';

/** A partial response to continue. */
export interface Partial {
  /** The text that Storm generates without the partial response. */
  readonly whole: string;
  readonly text: string;
  /** Text of the last user message. */
  readonly prompt: string;
}

/** A model that continues in an unusual way: `partial-WAY` or `partial-WAY-ARG`. */
const ODD_MODEL = /^partial-([a-z]+)(?:-(\w+))?$/;

/** The continuation of a partial response. */
export function continueText(partial: Partial, model: string): string {
  const [, way = 'rest', arg] = ODD_MODEL.exec(model) ?? [];
  switch (way) {
    case 'over':
      return partial.whole;
    case 'reworded':
      return paraphrased(partial);
    case 'repeat':
      return partial.text.slice(-Number(arg ?? 20)) + restOf(partial);
    case 'chat':
      return chat(partial, arg);
    case 'language':
      return inAnotherLanguage(partial, arg);
    case 'nothing':
      return '';
    default:
      return restOf(partial);
  }
}

/** The part of the complete text after the partial one; if they differ, the part from the same length on. */
function restOf({ whole, text }: Partial): string {
  return whole.startsWith(text) ? whole.slice(text.length) : whole.slice(lengthUpToSpace(whole, text.length));
}

function lengthUpToSpace(text: string, length: number): number {
  const at = text.indexOf(' ', length);
  return at === -1 ? text.length : at;
}

/** The complete text paraphrased; if no paraphrase exists, with some words removed. */
function paraphrased(partial: Partial): string {
  const prose = toProse(partial.prompt);
  if (prose?.language === 'en') return joinParts(render({ ...prose, sentences: REWORDED }));
  return partial.whole.replaceAll(/(\S+\s+\S+\s+\S+\s+)\S+\s+/gu, '$1');
}

/** A preamble (index `which`, else chosen by hash), then the rest, with or without its leading space. */
function chat(partial: Partial, which: string | undefined): string {
  const rest = restOf(partial);
  const chance = hashText(partial.text);
  const preamble = PREAMBLES[(which === undefined ? chance : Number(which)) % PREAMBLES.length]!;
  return preamble + (chance % 2 === 0 ? rest.trimStart() : rest);
}

/** The rest in another language, from the same position. */
function inAnotherLanguage(partial: Partial, to: string | undefined): string {
  const prose = toProse(partial.prompt);
  if (prose === null) return ' und dann ging es in einer anderen Sprache weiter, die vorher niemand gesprochen hatte.';
  const others = PROSE_LANGUAGES.filter((language) => language !== prose.language);
  const language = others.find((other) => other === to) ?? others[hashText(partial.text) % others.length]!;
  return translatedRest(render(prose), render({ ...prose, language, sentences: SENTENCES[language] }), partial.text.length, language);
}

interface Prose {
  readonly language: ProseLanguage;
  readonly seed: number;
  readonly sentences: readonly string[];
}

/** Parses `prose LANGUAGE SEED`; null for other prompts. */
function toProse(prompt: string): Prose | null {
  const asked = /^prose ([a-z]{2}) (\d+)/.exec(prompt);
  const language = PROSE_LANGUAGES.find((known) => known === asked?.[1]);
  return language === undefined ? null : { language, seed: Number(asked![2]), sentences: SENTENCES[language] };
}

/** The text for a prompt `prose LANGUAGE SEED`; null for other prompts. */
export function proseFor(prompt: string): string | null {
  const prose = toProse(prompt);
  return prose === null ? null : joinParts(render(prose));
}

/** A sentence, or language-independent text between sentences. */
interface Part {
  readonly text: string;
  readonly isProse: boolean;
}

/** The same seed gives the same order and layout in every language. */
function render({ language, seed, sentences }: Prose): Part[] {
  const random = createSeededRandom(hashText('prose', seed));
  const order = shuffled(sentences.length, random);
  const gap = language === 'zh' || language === 'ja' ? '' : ' ';
  const parts: Part[] = [];
  const say = (count: number, between: string, lead = ''): void => {
    for (let i = 0; i < count && order.length > 0; i++) {
      if (i > 0 || lead !== '') parts.push({ text: (i > 0 ? between : '') + lead, isProse: false });
      parts.push({ text: sentences[order.pop()!]!, isProse: true });
    }
  };
  const shape = Math.floor(random.next() * 6);
  const paragraphs = () => {
    while (order.length > 0) {
      say(2 + Math.floor(random.next() * 3), gap);
      if (order.length > 0) parts.push({ text: '\n\n', isProse: false });
    }
  };
  if (shape === 1) {
    say(2, gap);
    parts.push({ text: '\n\n', isProse: false });
    say(3 + Math.floor(random.next() * 3), '\n', '- ');
    parts.push({ text: '\n\n', isProse: false });
  } else if (shape === 2) {
    say(2, gap);
    parts.push({ text: `\n\n${CODE}\n\n`, isProse: false });
  } else if (shape === 3) {
    parts.push({ text: `## ⚓ ${1900 + (seed % 100)}\n\n`, isProse: false });
  } else if (shape === 4) {
    say(1, gap);
    parts.push({ text: `\n\n${TABLE}\n\n`, isProse: false });
  } else if (shape === 5) {
    say(1, gap);
    parts.push({ text: '\n\n', isProse: false });
    for (const number of [1, 2, 3]) say(1, '', `${number === 1 ? '' : '\n'}${number}. `);
    parts.push({ text: '\n\n> ', isProse: false });
    say(1, gap);
    parts.push({ text: '\n\n', isProse: false });
  }
  paragraphs();
  return parts;
}

const CODE = `\`\`\`ts
export function depthAt(tide: number, charted: number): number {
  const depth = charted + tide;
  if (depth < 0) {
    throw new RangeError(\`dry at \${tide} m\`);
  }
  return Math.round(depth * 10) / 10;
}

for (const tide of [0.4, 1.25, 3.8]) {
  console.log(depthAt(tide, 7.5));
}
\`\`\``;

const TABLE = `| m | 0:00 | 6:12 | 12:25 |
| ---: | ---: | ---: | ---: |
| min | 0.4 | 3.8 | 0.6 |
| max | 0.9 | 4.25 | 1.1 |
| σ | 0.12 | 0.31 | 0.15 |`;

function shuffled(count: number, random: Random): number[] {
  const order = Array.from({ length: count }, (_, index) => index);
  for (let at = count - 1; at > 0; at--) {
    const other = Math.floor(random.next() * (at + 1));
    [order[at], order[other]] = [order[other]!, order[at]!];
  }
  return order;
}

function joinParts(parts: readonly Part[]): string {
  return parts.map((part) => part.text).join('');
}

/** The translated text from about the position that `length` characters of the original reach. */
function translatedRest(from: readonly Part[], to: readonly Part[], length: number, language: ProseLanguage): string {
  let left = length;
  let at = 0;
  while (at < from.length && left >= from[at]!.text.length) left -= from[at++]!.text.length;
  const part = to[at];
  if (part === undefined) return '';
  const rest = joinParts(to.slice(at + 1));
  const place = Math.round((left / from[at]!.text.length) * part.text.length);
  if (!part.isProse || language === 'zh' || language === 'ja') return part.text.slice(place) + rest;
  const space = part.text.indexOf(' ', place);
  return (space === -1 ? part.text.slice(place) : part.text.slice(space)) + rest;
}
