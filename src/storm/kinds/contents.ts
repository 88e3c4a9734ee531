/** Content that is missing, truncated or wrong, or correct with unusual characters and fields. */
import { breakIndex, closingIndex, contentIndex, endAt, insertAt, sendStep } from '../script-edits.ts';
import type { ResponseScript, Step } from '../response-script.ts';
import { REASONING } from '../content.ts';
import type { Choice } from '../content.ts';
import { choicesOf, patternOf, toEvent, withBody, withChoices } from '../event-edits.ts';
import type { Family, FaultBehaviour } from '../fault-behaviour.ts';
import type { ContentKind } from '../fault-names.ts';
import type { StormFault } from '../options.ts';

const REPEATED = 'and then the storm came back ';

/** Characters of two, three and four bytes in every delta: words, combining marks, and emoji. */
const MULTIBYTE = ['Mælström ', 'ветер ', '嵐の夜 ', '🌩️ ', 'é́ ', '👩‍👩‍👧 ', '\u{10348} ', 'العاصفة '];

/** Text that naive parsers misread: terminators, errors, line breaks, SSE syntax. */
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

/** Content of the same length in other characters. Tool calls keep their arguments. */
export function multibyte(choice: Choice): Choice {
  return withDeltas(choice, MULTIBYTE);
}

function withDeltas(choice: Choice, deltas: readonly string[]): Choice {
  if (choice.kind !== 'text') return choice;
  return { ...choice, deltas: Array.from({ length: Math.max(1, choice.deltas.length) }, (_, at) => deltas[at % deltas.length]!) };
}

/** Adds reasoning in a separate field before the content. `ends` sets whether the content is dropped. */
function thinking(
  field: 'reasoning' | 'reasoning_content',
  about: string,
  harm: FaultBehaviour['harm'],
  ending: (script: ResponseScript, at: number) => ResponseScript,
): FaultBehaviour {
  return {
    about,
    on: 'both',
    harm,
    only: 'openai-chat',
    edit(script) {
      if (!script.streamed) {
        return withBody(script, (body) =>
          withChoices(body, (choice) => ({ ...choice, message: { ...(choice['message'] as object), [field]: REASONING.join('') } })),
        );
      }
      const at = contentIndex(script);
      return ending(insertAt(script, at, ...reasoning(script, field)), at + REASONING.length);
    },
  };
}

function reasoning(script: ResponseScript, field: string): Step[] {
  const pattern = patternOf(script);
  return REASONING.map((text) =>
    sendStep(toEvent({ ...pattern, choices: [{ index: 0, delta: { content: '', [field]: text }, logprobs: null, finish_reason: null }] })),
  );
}

/** A refusal after half of the content. */
function refusingLate(script: ResponseScript, fault: StormFault): ResponseScript {
  if (!script.streamed) return script;
  const at = breakIndex(script, fault);
  const event = toEvent({
    ...patternOf(script),
    choices: [{ index: 0, delta: { refusal: "I can't go on with that." }, logprobs: null, finish_reason: null }],
  });
  return { ...script, steps: [...script.steps.slice(0, at), sendStep(event), ...script.steps.slice(Math.max(at, closingIndex(script)))] };
}

export const CONTENTS: Family<ContentKind> = {
  'empty-choices': { about: 'choices: []', on: 'both', harm: 'degraded', content: (choice) => ({ ...choice, kind: 'absent', deltas: [] }) },
  'empty-null': {
    about: 'content: null',
    on: 'both',
    harm: 'degraded',
    content: (choice) => ({ kind: 'null', deltas: [], finish: choice.finish === 'tool' ? 'stop' : choice.finish }),
  },
  empty: {
    about: 'content is an empty string',
    on: 'both',
    harm: 'degraded',
    content: () => ({ kind: 'text', deltas: [], finish: 'stop' }),
  },
  truncated: {
    about: 'the response ends after ARG tokens with finish_reason length',
    on: 'both',
    harm: 'degraded',
    arg: 'afterTokens',
    content: (choice, fault) => ({
      ...choice,
      deltas: choice.deltas.slice(0, fault.afterTokens ?? Math.ceil(choice.deltas.length / 2)),
      finish: 'length',
    }),
  },
  refusal: {
    about: 'the model refuses',
    on: 'both',
    harm: 'degraded',
    content: () => ({ kind: 'refusal', deltas: ["I'm", ' sorry,', ' I', " can't", ' assist', ' with', ' that.'], finish: 'stop' }),
  },
  'refusal-late': {
    about: 'a stream refuses after ARG content events',
    on: 'stream',
    harm: 'degraded',
    only: 'openai-chat',
    arg: 'afterTokens',
    edit: refusingLate,
  },
  'content-filter': {
    about: 'only finish_reason content_filter',
    on: 'both',
    harm: 'degraded',
    content: () => ({ kind: 'null', deltas: [], finish: 'filter' }),
  },
  blocked: {
    about: 'the prompt is blocked for reason ARG (default SAFETY), with status 200 and no content',
    on: 'both',
    harm: 'degraded',
    arg: 'finish',
    content: (_choice, fault) => ({ kind: 'null', deltas: [], finish: 'filter', blocked: fault.finish ?? 'SAFETY' }),
  },
  repetition: {
    about: 'the same phrase repeated until the output limit',
    on: 'both',
    harm: 'degraded',
    content: (choice) => ({
      kind: 'text',
      deltas: Array.from({ length: Math.max(40, choice.deltas.length) }, () => REPEATED),
      finish: 'length',
    }),
  },
  prose: {
    about: 'prose although JSON or a tool call was requested',
    on: 'both',
    harm: 'degraded',
    content: () => ({ kind: 'text', deltas: ['Here', ' is', ' what', ' you', ' asked', ' for.'], finish: 'stop' }),
  },
  unicode: { about: 'text in characters of two, three and four bytes', on: 'both', harm: 'none', content: multibyte },
  marks: {
    about: 'text that contains [DONE], data:, error objects and line breaks',
    on: 'both',
    harm: 'none',
    content: (choice) => withDeltas(choice, MARKS),
  },
  reasoning: thinking('reasoning', 'reasoning in `reasoning` before the content', 'none', (script) => script),
  'reasoning-content': thinking('reasoning_content', 'reasoning in `reasoning_content` before the content', 'none', (script) => script),
  'reasoning-only': {
    ...thinking('reasoning_content', 'reasoning and no content', 'degraded', (script) => script),
    content: (choice) => ({ ...choice, kind: 'text', deltas: [], finish: choice.finish === 'tool' ? 'stop' : choice.finish }),
  },
  'reasoning-cut': {
    ...thinking('reasoning_content', 'reasoning, then FIN before any content', 'after', (script, at) => endAt(script, at, { do: 'fin' })),
    on: 'stream',
  },
};

/** The text of an event's first choice, if any. */
export function textOf(chunk: Record<string, unknown>): string | undefined {
  const choice = choicesOf(chunk)[0];
  const delta = choice?.['delta'];
  const text = typeof delta === 'object' && delta !== null && 'content' in delta ? delta.content : choice?.['text'];
  return typeof text === 'string' ? text : undefined;
}
