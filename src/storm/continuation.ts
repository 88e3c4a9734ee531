/**
 * Answers to a request whose last message is the assistant's own: providers that continue partial answers say what comes
 * behind it. Storm knows what it would have said as a whole, and so where that goes on. Models called `partial-WAY` do something
 * else: `over`, `reworded`, `repeat-20` (characters), `chat-3` (which remark), `language-de`, `nothing`.
 */
import type { Random } from '../core/random.ts';
import { createSeededRandom, hashText } from './chance.ts';
import { PREAMBLES, PROSE_LANGUAGES, REWORDED, SENTENCES } from './continuation-prose.ts';
import type { ProseLanguage } from './continuation-prose.ts';

/** What there is to be continued. */
export interface Partial {
  /** What Storm would have said without the partial answer. */
  readonly whole: string;
  readonly told: string;
  /** The last thing that the user said. */
  readonly prompt: string;
}

/** A model of this name does not simply go on: `partial-WAY`, or `partial-WAY-ARG`. */
const ODD_MODEL = /^partial-([a-z]+)(?:-(\w+))?$/;

/** What the model says to a partial answer. */
export function carryOn(partial: Partial, model: string): string {
  const [, way = 'rest', arg] = ODD_MODEL.exec(model) ?? [];
  switch (way) {
    case 'over':
      return partial.whole;
    case 'reworded':
      return reworded(partial);
    case 'repeat':
      return partial.told.slice(-Number(arg ?? 20)) + restOf(partial);
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

/** What the whole text says behind the part; of another text, its own rest from there on. */
function restOf({ whole, told }: Partial): string {
  return whole.startsWith(told) ? whole.slice(told.length) : whole.slice(lengthUpToSpace(whole, told.length));
}

function lengthUpToSpace(text: string, length: number): number {
  const at = text.indexOf(' ', length);
  return at === -1 ? text.length : at;
}

/** The same in other words, from its beginning; a text that Storm has no other words for loses some of those it has. */
function reworded(partial: Partial): string {
  const prose = toProse(partial.prompt);
  if (prose?.language === 'en') return joinUp(render({ ...prose, sentences: REWORDED }));
  return partial.whole.replaceAll(/(\S+\s+\S+\s+\S+\s+)\S+\s+/gu, '$1');
}

/** A polite remark (`which`, from 0; else one or another), then the rest, with or without its leading space. */
function chat(partial: Partial, which: string | undefined): string {
  const rest = restOf(partial);
  const chance = hashText(partial.told);
  const preamble = PREAMBLES[(which === undefined ? chance : Number(which)) % PREAMBLES.length]!;
  return preamble + (chance % 2 === 0 ? rest.trimStart() : rest);
}

/** The rest in another language, from the same place on. */
function inAnotherLanguage(partial: Partial, to: string | undefined): string {
  const prose = toProse(partial.prompt);
  if (prose === null) return ' und dann ging es in einer anderen Sprache weiter, die vorher niemand gesprochen hatte.';
  const others = PROSE_LANGUAGES.filter((language) => language !== prose.language);
  const language = others.find((other) => other === to) ?? others[hashText(partial.told) % others.length]!;
  return translatedRest(render(prose), render({ ...prose, language, sentences: SENTENCES[language] }), partial.told.length, language);
}

interface Prose {
  readonly language: ProseLanguage;
  readonly seed: number;
  readonly sentences: readonly string[];
}

/** `prose LANGUAGE SEED`; null: it asks for something else. */
function toProse(prompt: string): Prose | null {
  const asked = /^prose ([a-z]{2}) (\d+)/.exec(prompt);
  const language = PROSE_LANGUAGES.find((known) => known === asked?.[1]);
  return language === undefined ? null : { language, seed: Number(asked![2]), sentences: SENTENCES[language] };
}

/** The text that a prompt `prose LANGUAGE SEED` asks for; null: it asks for something else. */
export function proseFor(prompt: string): string | null {
  const prose = toProse(prompt);
  return prose === null ? null : joinUp(render(prose));
}

/** Parts of a text: a sentence, or what stands around sentences whatever their language. */
interface Part {
  readonly text: string;
  readonly isProse: boolean;
}

/** The same seed gives the same order and shape in every language. */
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

function joinUp(parts: readonly Part[]): string {
  return parts.map((part) => part.text).join('');
}

/** From the part, and about the place within it, that `length` characters of the first text reach. */
function translatedRest(from: readonly Part[], to: readonly Part[], length: number, language: ProseLanguage): string {
  let left = length;
  let at = 0;
  while (at < from.length && left >= from[at]!.text.length) left -= from[at++]!.text.length;
  const part = to[at];
  if (part === undefined) return '';
  const rest = joinUp(to.slice(at + 1));
  const place = Math.round((left / from[at]!.text.length) * part.text.length);
  if (!part.isProse || language === 'zh' || language === 'ja') return part.text.slice(place) + rest;
  const space = part.text.indexOf(' ', place);
  return (space === -1 ? part.text.slice(place) : part.text.slice(space)) + rest;
}
