/** Stream endings that are early, repeated, partial or missing, with correct content. */
import { append, breakIndex, closingIndex, endAt, insertAt, withBodyBytes, sendStep, terminators, withoutParts } from '../script-edits.ts';
import type { ResponseScript, Step } from '../response-script.ts';
import { choicesOf, omitting, withBody, withChoices, withEvents } from '../event-edits.ts';
import type { Chunk } from '../event-edits.ts';
import type { Family } from '../fault-behaviour.ts';
import type { EndKind } from '../fault-names.ts';

/** Without its terminator a chat stream is still complete; streams of these dialects and framings are not. */
const NO_TERMINATOR = { 'openai-responses': 'after', 'anthropic-messages': 'ambiguous', 'json-array': 'after' } as const;

const HANG: Step = { do: 'hang' };

/** Replaces the bytes of the last send. */
function lastSent(script: ResponseScript, change: (text: string) => string): ResponseScript {
  const at = script.steps.findLastIndex((step) => step.do === 'send');
  const step = script.steps[at];
  if (!script.streamed || step?.do !== 'send') return script;
  return { ...script, steps: script.steps.with(at, { ...step, bytes: change(String(step.bytes)) }) };
}

/** Replaces all events of a stream, after the head. */
function only(script: ResponseScript, ...steps: Step[]): ResponseScript {
  return endAt(script, script.steps.findIndex((step) => step.do === 'head') + 1, ...steps);
}

/** Repeats the last content event after the terminator. */
function afterTheEnd(script: ResponseScript): ResponseScript {
  const content = script.steps.findLast((step) => step.do === 'send' && step.part === 'content');
  return content?.do === 'send' ? append(script, sendStep(content.bytes, 'done')) : script;
}

/** An event of the stream with truncated JSON. */
function brokenEvent(script: ResponseScript): string {
  const content = script.steps.findLast((step) => step.do === 'send' && step.part !== 'done');
  const text = content?.do === 'send' ? String(content.bytes).trimEnd() : 'data: {"id":';
  return `${text.slice(0, -Math.min(8, Math.floor(text.length / 4)))}\n\n`;
}

function isFinish(chunk: Chunk): boolean {
  return choicesOf(chunk).some((choice) => typeof choice['finish_reason'] === 'string');
}

/** Moves the finish reason into the last content chunk. Streams of several choices are returned unchanged. */
function joined(script: ResponseScript): ResponseScript {
  const closing = closingIndex(script);
  const last = script.steps.slice(0, closing).findLastIndex((step) => step.do === 'send' && step.part === 'content');
  const finishes = script.steps.filter((step) => step.do === 'send' && step.part === 'finish').length;
  if (last === -1 || finishes !== 1) return script;
  let reason: unknown = 'stop';
  withEvents(script, (chunk, part) => {
    if (part === 'finish') reason = choicesOf(chunk)[0]?.['finish_reason'];
    return [];
  });
  const contents = script.steps.slice(0, last + 1).filter((step) => step.do === 'send' && step.part === 'content').length;
  return withEvents(script, (chunk, part, index) => {
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
    edit: (script) => withoutParts(script, ['done']),
  },
  'no-finish': {
    about: 'no finish_reason, then [DONE]',
    on: 'both',
    harm: 'ambiguous',
    content: (choice) => ({ ...choice, finish: 'none' }),
  },
  'no-end': {
    about: 'the stream ends without finish_reason, usage and [DONE]',
    on: 'stream',
    harm: 'after',
    edit: (script) => withoutParts(script, ['finish', 'usage', 'done']),
  },
  'no-blank': {
    about: 'the terminator has a line break but no blank line after it',
    on: 'stream',
    harm: 'none',
    only: 'sse',
    edit: (script) => lastSent(script, (text) => text.slice(0, -1)),
  },
  'no-newline': {
    about: 'the terminator has no line break',
    on: 'stream',
    harm: 'none',
    only: 'sse',
    edit: (script) => lastSent(script, (text) => text.trimEnd()),
  },
  'no-blank-finish': {
    about: 'no [DONE], and no blank line after the last event',
    on: 'stream',
    harm: 'none',
    elsewhere: NO_TERMINATOR,
    only: 'sse',
    edit: (script) => lastSent(withoutParts(script, ['done']), (text) => text.slice(0, -1)),
  },
  'after-done': {
    about: 'another content event after [DONE]',
    on: 'stream',
    harm: 'none',
    elsewhere: { gemini: 'ambiguous', bedrock: 'ambiguous', 'json-array': 'after' },
    edit: afterTheEnd,
  },
  'done-twice': {
    about: '[DONE] twice',
    on: 'stream',
    harm: 'none',
    elsewhere: { 'json-array': 'after' },
    edit: (script) => append(script, ...terminators(script)),
  },
  'done-only': { about: 'only [DONE]', on: 'stream', harm: 'degraded', edit: (script) => only(script, ...terminators(script)) },
  'done-open': {
    about: 'the connection stays open after [DONE]',
    on: 'stream',
    harm: 'none',
    endless: true,
    edit: (script) => append(script, HANG),
  },
  'finish-open': {
    about: 'the connection stays open after finish_reason, without [DONE]',
    on: 'stream',
    harm: 'ambiguous',
    endless: true,
    edit: (script) => append(withoutParts(script, ['usage', 'done']), HANG),
  },
  'finish-only': {
    about: 'only finish_reason and [DONE]',
    on: 'stream',
    harm: 'degraded',
    edit: (script) => withoutParts(script, ['preamble', 'content']),
  },
  'finish-twice': {
    about: 'the chunk with finish_reason twice',
    on: 'stream',
    harm: 'none',
    edit: (script) => withEvents(script, (chunk, part) => (part === 'finish' ? [{ chunk }, { chunk }] : [{ chunk }])),
  },
  'finish-late': {
    about: 'finish_reason before the last content event',
    on: 'stream',
    harm: 'ambiguous',
    edit(script) {
      const finish = closingIndex(script);
      const before = script.steps.slice(0, finish).findLastIndex((step) => step.do === 'send' && step.part === 'content');
      const step = script.steps[finish];
      if (before === -1 || step === undefined) return script;
      return insertAt({ ...script, steps: script.steps.toSpliced(finish, 1) }, before, step);
    },
  },
  'finish-joined': { about: 'finish_reason in the last content event', on: 'stream', harm: 'none', only: 'openai-chat', edit: joined },
  'finish-odd': {
    about: 'an unspecified finish_reason',
    on: 'both',
    harm: 'ambiguous',
    only: 'openai-chat',
    edit(script) {
      const odd = (chunk: Chunk) => withChoices(chunk, (choice) => ({ ...choice, finish_reason: 'insufficient_system_resource' }));
      if (script.streamed) return withEvents(script, (chunk) => [{ chunk: isFinish(chunk) ? odd(chunk) : chunk }]);
      return withBody(script, odd);
    },
  },
  'finish-fields': {
    about: 'chunks before the last have neither finish_reason nor logprobs',
    on: 'stream',
    harm: 'none',
    only: 'openai-chat',
    edit: (script) =>
      withEvents(script, (chunk) => [
        { chunk: isFinish(chunk) ? chunk : withChoices(chunk, (choice) => omitting(choice, 'finish_reason', 'logprobs')) },
      ]),
  },
  malformed: {
    about: 'an event with invalid JSON after ARG content events; a truncated non-streaming body',
    on: 'both',
    harm: 'after',
    arg: 'afterTokens',
    edit(script, fault) {
      if (!script.streamed) return withBodyBytes(script, (body) => body.subarray(0, body.length / 2));
      return insertAt(script, breakIndex(script, fault), sendStep(brokenEvent(script)));
    },
  },
  'finish-reason': {
    about: "the response ends with reason ARG, in the dialect's own vocabulary (default error)",
    on: 'both',
    harm: 'ambiguous',
    arg: 'finish',
    content: (choice, fault) => ({ ...choice, reason: fault.finish ?? 'error' }),
  },
  'empty-stream': { about: 'an empty stream', on: 'stream', harm: 'before', edit: (script) => only(script) },
  'comments-only': {
    about: 'a stream of comments that ends',
    on: 'stream',
    harm: 'before',
    only: 'sse',
    edit: (script) => only(script, sendStep(': STORM PROCESSING\n\n', 'preamble'), sendStep(': STORM PROCESSING\n\n', 'preamble')),
  },
};
