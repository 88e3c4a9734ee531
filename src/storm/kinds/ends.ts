/** Streams that end too early, twice, half, or not at all, though all that was said is right. */
import { appended, breakIndex, closingIndex, endedAt, inserted, rebodied, say, terminators, without } from '../answer-edits.ts';
import type { Answer, Step } from '../answer.ts';
import { choicesOf, omitting, withBody, withChoices, withEvents } from '../event-edits.ts';
import type { Chunk } from '../event-edits.ts';
import type { Family } from '../fault-behaviour.ts';
import type { EndKind } from '../fault-names.ts';

/** Without its terminator a chat stream has said all; others have not, or are no JSON. */
const NO_TERMINATOR = { 'openai-responses': 'after', 'anthropic-messages': 'doubt', 'json-array': 'after' } as const;

const HANG: Step = { do: 'hang' };

/** The last send with other bytes. */
function lastSent(answer: Answer, change: (text: string) => string): Answer {
  const at = answer.steps.findLastIndex((step) => step.do === 'send');
  const step = answer.steps[at];
  if (!answer.streamed || step?.do !== 'send') return answer;
  return { ...answer, steps: answer.steps.with(at, { ...step, bytes: change(String(step.bytes)) }) };
}

/** A stream of other events altogether, after the head. */
function only(answer: Answer, ...steps: Step[]): Answer {
  return endedAt(answer, answer.steps.findIndex((step) => step.do === 'head') + 1, ...steps);
}

/** The last content event once more, after the terminator. */
function afterTheEnd(answer: Answer): Answer {
  const content = answer.steps.findLast((step) => step.do === 'send' && step.part === 'content');
  return content?.do === 'send' ? appended(answer, say(content.bytes, 'done')) : answer;
}

/** An event of the stream whose JSON lacks its end. */
function brokenEvent(answer: Answer): string {
  const content = answer.steps.findLast((step) => step.do === 'send' && step.part !== 'done');
  const text = content?.do === 'send' ? String(content.bytes).trimEnd() : 'data: {"id":';
  return `${text.slice(0, -Math.min(8, Math.floor(text.length / 4)))}\n\n`;
}

function isFinish(chunk: Chunk): boolean {
  return choicesOf(chunk).some((choice) => typeof choice['finish_reason'] === 'string');
}

/** The finish reason of the closing chunk stands in the last chunk of content. A stream of several choices stays. */
function joined(answer: Answer): Answer {
  const closing = closingIndex(answer);
  const last = answer.steps.slice(0, closing).findLastIndex((step) => step.do === 'send' && step.part === 'content');
  const finishes = answer.steps.filter((step) => step.do === 'send' && step.part === 'finish').length;
  if (last === -1 || finishes !== 1) return answer;
  let reason: unknown = 'stop';
  withEvents(answer, (chunk, part) => {
    if (part === 'finish') reason = choicesOf(chunk)[0]?.['finish_reason'];
    return [];
  });
  const contents = answer.steps.slice(0, last + 1).filter((step) => step.do === 'send' && step.part === 'content').length;
  return withEvents(answer, (chunk, part, index) => {
    if (part === 'finish') return [];
    const isLast = part === 'content' && index === contents - 1;
    return [{ chunk: isLast ? withChoices(chunk, (choice) => ({ ...choice, finish_reason: reason })) : chunk }];
  });
}

export const ENDS: Family<EndKind> = {
  'no-done': {
    about: 'the stream ends without [DONE]',
    on: 'stream',
    harm: 'none',
    elsewhere: NO_TERMINATOR,
    answer: (answer) => without(answer, ['done']),
  },
  'no-finish': { about: 'no finish_reason, then [DONE]', on: 'both', harm: 'doubt', content: (choice) => ({ ...choice, finish: 'none' }) },
  'no-end': {
    about: 'the stream ends without finish_reason, usage and [DONE]',
    on: 'stream',
    harm: 'after',
    answer: (answer) => without(answer, ['finish', 'usage', 'done']),
  },
  'no-blank': {
    about: 'the terminator has its line end and no blank line after it',
    on: 'stream',
    harm: 'none',
    only: 'sse',
    answer: (answer) => lastSent(answer, (text) => text.slice(0, -1)),
  },
  'no-newline': {
    about: 'the terminator has no line end at all',
    on: 'stream',
    harm: 'none',
    only: 'sse',
    answer: (answer) => lastSent(answer, (text) => text.trimEnd()),
  },
  'no-blank-finish': {
    about: 'no [DONE], and the last event has no blank line after it',
    on: 'stream',
    harm: 'none',
    elsewhere: NO_TERMINATOR,
    only: 'sse',
    answer: (answer) => lastSent(without(answer, ['done']), (text) => text.slice(0, -1)),
  },
  'after-done': {
    about: 'another content event after [DONE]',
    on: 'stream',
    harm: 'none',
    elsewhere: { gemini: 'doubt', bedrock: 'doubt', 'json-array': 'after' },
    answer: afterTheEnd,
  },
  'done-twice': {
    about: '[DONE] twice',
    on: 'stream',
    harm: 'none',
    elsewhere: { 'json-array': 'after' },
    answer: (answer) => appended(answer, ...terminators(answer)),
  },
  'done-only': { about: 'nothing but [DONE]', on: 'stream', harm: 'poor', answer: (answer) => only(answer, ...terminators(answer)) },
  'done-open': {
    about: 'the connection stays open after [DONE]',
    on: 'stream',
    harm: 'none',
    endless: true,
    answer: (answer) => appended(answer, HANG),
  },
  'finish-open': {
    about: 'the connection stays open after finish_reason, and no [DONE] comes',
    on: 'stream',
    harm: 'doubt',
    endless: true,
    answer: (answer) => appended(without(answer, ['usage', 'done']), HANG),
  },
  'finish-only': {
    about: 'nothing but finish_reason and [DONE]',
    on: 'stream',
    harm: 'poor',
    answer: (answer) => without(answer, ['preamble', 'content']),
  },
  'finish-twice': {
    about: 'the chunk with finish_reason comes twice',
    on: 'stream',
    harm: 'none',
    answer: (answer) => withEvents(answer, (chunk, part) => (part === 'finish' ? [{ chunk }, { chunk }] : [{ chunk }])),
  },
  'finish-late': {
    about: 'finish_reason comes before the last content event',
    on: 'stream',
    harm: 'doubt',
    answer(answer) {
      const finish = closingIndex(answer);
      const before = answer.steps.slice(0, finish).findLastIndex((step) => step.do === 'send' && step.part === 'content');
      const step = answer.steps[finish];
      if (before === -1 || step === undefined) return answer;
      return inserted({ ...answer, steps: answer.steps.toSpliced(finish, 1) }, before, step);
    },
  },
  'finish-joined': { about: 'finish_reason in the last content event', on: 'stream', harm: 'none', only: 'openai-chat', answer: joined },
  'finish-odd': {
    about: 'a finish_reason that no specification names',
    on: 'both',
    harm: 'doubt',
    only: 'openai-chat',
    answer(answer) {
      const odd = (chunk: Chunk) => withChoices(chunk, (choice) => ({ ...choice, finish_reason: 'insufficient_system_resource' }));
      if (answer.streamed) return withEvents(answer, (chunk) => [{ chunk: isFinish(chunk) ? odd(chunk) : chunk }]);
      return withBody(answer, odd);
    },
  },
  'finish-fields': {
    about: 'no finish_reason and no logprobs field in the chunks before the last',
    on: 'stream',
    harm: 'none',
    only: 'openai-chat',
    answer: (answer) =>
      withEvents(answer, (chunk) => [
        { chunk: isFinish(chunk) ? chunk : withChoices(chunk, (choice) => omitting(choice, 'finish_reason', 'logprobs')) },
      ]),
  },
  malformed: {
    about: 'an event that is no JSON after ARG content events; a plain body with its end missing',
    on: 'both',
    harm: 'after',
    arg: 'afterTokens',
    answer(answer, fault) {
      if (!answer.streamed) return rebodied(answer, (body) => body.subarray(0, body.length / 2));
      return inserted(answer, breakIndex(answer, fault), say(brokenEvent(answer)));
    },
  },
  'finish-reason': {
    about: 'the answer ends for the reason ARG, in the words of its dialect (default error)',
    on: 'both',
    harm: 'doubt',
    arg: 'finish',
    content: (choice, fault) => ({ ...choice, reason: fault.finish ?? 'error' }),
  },
  'empty-stream': { about: 'a stream without a byte', on: 'stream', harm: 'before', answer: (answer) => only(answer) },
  'comments-only': {
    about: 'a stream of comments that ends',
    on: 'stream',
    harm: 'before',
    only: 'sse',
    answer: (answer) => only(answer, say(': STORM PROCESSING\n\n', 'preamble'), say(': STORM PROCESSING\n\n', 'preamble')),
  },
};
