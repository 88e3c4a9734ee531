/** What is said: nothing, too little, the wrong thing, or the right thing in unusual characters and fields. */
import { breakIndex, closingIndex, contentIndex, endedAt, inserted, say } from '../answer-edits.ts';
import type { Answer, Step } from '../answer.ts';
import { THOUGHTS } from '../content.ts';
import type { Choice } from '../content.ts';
import { choicesOf, patternOf, toEvent, withBody, withChoices } from '../event-edits.ts';
import type { Family, FaultBehaviour } from '../fault-behaviour.ts';
import type { ContentKind } from '../fault-names.ts';
import type { StormFault } from '../options.ts';

const REPEATED = 'and then the storm came back ';

/** Characters of two, three and four bytes in every piece: words, marks that join, and pictures. */
const MULTIBYTE = ['Mælström ', 'ветер ', '嵐の夜 ', '🌩️ ', 'é́ ', '👩‍👩‍👧 ', '\u{10348} ', 'العاصفة '];

/** Text that readers who do not parse take for something else: terminators, errors, line ends, marks of SSE. */
const MARKS = [
  'data: [DONE]',
  '\n\n',
  '[DONE]',
  ' {"error":',
  '{"message":"x"}}',
  '\r\n\r\n',
  ': comment\n',
  'event: error\n',
  '\\n',
  '"]}',
  '</html>',
];

/** The same length in other characters. A tool call keeps its arguments. */
export function multibyte(choice: Choice): Choice {
  return said(choice, MULTIBYTE);
}

function said(choice: Choice, pieces: readonly string[]): Choice {
  if (choice.kind !== 'text') return choice;
  return { ...choice, pieces: Array.from({ length: Math.max(1, choice.pieces.length) }, (_, at) => pieces[at % pieces.length]!) };
}

/** Thoughts in a field beside the content, before it. `ends` says whether anything follows. */
function thinking(
  field: 'reasoning' | 'reasoning_content',
  about: string,
  harm: FaultBehaviour['harm'],
  ending: (answer: Answer, at: number) => Answer,
): FaultBehaviour {
  return {
    about,
    on: 'both',
    harm,
    only: 'openai-chat',
    answer(answer) {
      if (!answer.streamed) {
        return withBody(answer, (body) =>
          withChoices(body, (choice) => ({ ...choice, message: { ...(choice['message'] as object), [field]: THOUGHTS.join('') } })),
        );
      }
      const at = contentIndex(answer);
      return ending(inserted(answer, at, ...thoughts(answer, field)), at + THOUGHTS.length);
    },
  };
}

function thoughts(answer: Answer, field: string): Step[] {
  const pattern = patternOf(answer);
  return THOUGHTS.map((text) =>
    say(toEvent({ ...pattern, choices: [{ index: 0, delta: { content: '', [field]: text }, logprobs: null, finish_reason: null }] })),
  );
}

/** A refusal after half of the content. */
function refusingLate(answer: Answer, fault: StormFault): Answer {
  if (!answer.streamed) return answer;
  const at = breakIndex(answer, fault);
  const event = toEvent({
    ...patternOf(answer),
    choices: [{ index: 0, delta: { refusal: "I can't go on with that." }, logprobs: null, finish_reason: null }],
  });
  return { ...answer, steps: [...answer.steps.slice(0, at), say(event), ...answer.steps.slice(Math.max(at, closingIndex(answer)))] };
}

export const CONTENTS: Family<ContentKind> = {
  'empty-choices': { about: 'choices: []', on: 'both', harm: 'poor', content: (choice) => ({ ...choice, kind: 'absent', pieces: [] }) },
  'empty-null': {
    about: 'content: null',
    on: 'both',
    harm: 'poor',
    content: (choice) => ({ kind: 'null', pieces: [], finish: choice.finish === 'tool' ? 'stop' : choice.finish }),
  },
  empty: { about: 'content is an empty string', on: 'both', harm: 'poor', content: () => ({ kind: 'text', pieces: [], finish: 'stop' }) },
  truncated: {
    about: 'the answer ends after ARG tokens with finish_reason length',
    on: 'both',
    harm: 'poor',
    arg: 'afterTokens',
    content: (choice, fault) => ({
      ...choice,
      pieces: choice.pieces.slice(0, fault.afterTokens ?? Math.ceil(choice.pieces.length / 2)),
      finish: 'length',
    }),
  },
  refusal: {
    about: 'the model refuses',
    on: 'both',
    harm: 'poor',
    content: () => ({ kind: 'refusal', pieces: ["I'm", ' sorry,', ' I', " can't", ' assist', ' with', ' that.'], finish: 'stop' }),
  },
  'refusal-late': {
    about: 'a stream refuses after ARG content events',
    on: 'stream',
    harm: 'poor',
    only: 'openai-chat',
    arg: 'afterTokens',
    answer: refusingLate,
  },
  'content-filter': {
    about: 'nothing but finish_reason content_filter',
    on: 'both',
    harm: 'poor',
    content: () => ({ kind: 'null', pieces: [], finish: 'filter' }),
  },
  blocked: {
    about: 'the prompt is blocked for the reason ARG (default SAFETY), with status 200 and no content',
    on: 'both',
    harm: 'poor',
    arg: 'finish',
    content: (_choice, fault) => ({ kind: 'null', pieces: [], finish: 'filter', blocked: fault.finish ?? 'SAFETY' }),
  },
  repetition: {
    about: 'the same phrase again and again until the length ends it',
    on: 'both',
    harm: 'poor',
    content: (choice) => ({
      kind: 'text',
      pieces: Array.from({ length: Math.max(40, choice.pieces.length) }, () => REPEATED),
      finish: 'length',
    }),
  },
  prose: {
    about: 'prose where JSON or a tool call was asked',
    on: 'both',
    harm: 'poor',
    content: () => ({ kind: 'text', pieces: ['Here', ' is', ' what', ' you', ' asked', ' for.'], finish: 'stop' }),
  },
  unicode: { about: 'text in characters of two, three and four bytes', on: 'both', harm: 'none', content: multibyte },
  marks: {
    about: 'text that holds [DONE], data:, error objects and line ends',
    on: 'both',
    harm: 'none',
    content: (choice) => said(choice, MARKS),
  },
  reasoning: thinking('reasoning', 'thoughts in `reasoning` before the content', 'none', (answer) => answer),
  'reasoning-content': thinking('reasoning_content', 'thoughts in `reasoning_content` before the content', 'none', (answer) => answer),
  'reasoning-only': {
    ...thinking('reasoning_content', 'thoughts and no content', 'poor', (answer) => answer),
    content: (choice) => ({ ...choice, kind: 'text', pieces: [], finish: choice.finish === 'tool' ? 'stop' : choice.finish }),
  },
  'reasoning-cut': {
    ...thinking('reasoning_content', 'thoughts, then FIN before any content', 'after', (answer, at) => endedAt(answer, at, { do: 'fin' })),
    on: 'stream',
  },
};

/** The text of an event's first choice, if it holds any. */
export function textOf(chunk: Record<string, unknown>): string | undefined {
  const choice = choicesOf(chunk)[0];
  const delta = choice?.['delta'];
  const text = typeof delta === 'object' && delta !== null && 'content' in delta ? delta.content : choice?.['text'];
  return typeof text === 'string' ? text : undefined;
}
