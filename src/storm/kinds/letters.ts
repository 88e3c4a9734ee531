/** The letter of server-sent events and of JSON: all that the specifications allow, and some that they do not. */
import { breakIndex, contentIndex, endedAt, inserted, mapped, rebodied, say } from '../answer-edits.ts';
import type { Answer, Step } from '../answer.ts';
import { choicesOf, jsonStart, withDelta, withEvents } from '../event-edits.ts';
import type { Chunk } from '../event-edits.ts';
import type { Family, FaultBehaviour } from '../fault-behaviour.ts';
import type { LetterKind } from '../fault-names.ts';
import { textOf } from './contents.ts';

const COMMENT = ': STORM PROCESSING\n\n';
const BOM = '\uFEFF';
const MEGABYTE = 1024 * 1024;

/** A kind that writes every event of a stream otherwise and keeps what it says. */
function written(about: string, change: (text: string, index: number) => string): FaultBehaviour {
  return {
    about,
    on: 'stream',
    harm: 'none',
    only: 'sse',
    answer(answer) {
      let index = 0;
      return answer.streamed ? mapped(answer, (text) => change(text, index++)) : answer;
    },
  };
}

/** Something between all content events. */
function between(about: string, bytes: string): FaultBehaviour {
  return {
    about,
    on: 'stream',
    harm: 'none',
    only: 'sse',
    answer(answer) {
      if (!answer.streamed) return answer;
      const steps = answer.steps.flatMap((step): Step[] => (step.do === 'send' && step.part === 'content' ? [say(bytes), step] : [step]));
      return { ...answer, steps };
    },
  };
}

/** The same for ever, each after ARG ms. */
function forEver(
  about: string,
  harm: FaultBehaviour['harm'],
  ms: number,
  at: (answer: Answer, index: { content: number; half: number }) => [index: number, bytes: string],
): FaultBehaviour {
  return {
    about: `${about}, every ARG ms (default ${ms})`,
    on: 'stream',
    harm,
    endless: true,
    arg: 'ms',
    only: 'sse',
    answer(answer, fault) {
      if (!answer.streamed) return answer;
      const [index, bytes] = at(answer, { content: contentIndex(answer), half: breakIndex(answer, fault) });
      return endedAt(answer, index, { do: 'repeat', bytes, ms: fault.ms ?? ms });
    },
  };
}

/** The bytes of the send before an index, to be said again. */
function sentBefore(answer: Answer, index: number): string {
  const step = answer.steps.slice(0, index).findLast((one) => one.do === 'send');
  return step?.do === 'send' ? String(step.bytes) : COMMENT;
}

/** Line ends of every kind, another one at each line. No LF may follow a CR: together they are one. */
function mixed(text: string, at: number): string {
  let count = at;
  return text.replaceAll(/\r?\n/g, () => ['\r\n', '\n', '\r'][count++ % 3]!);
}

/** One more character at the end of a text, its halves in two events: JSON can say half a character, UTF-8 cannot. */
function halved(chunk: Chunk): Chunk[] {
  const text = textOf(chunk);
  if (text === undefined || choicesOf(chunk).length !== 1) return [chunk];
  const withPair = `${text}\u{1F329}`;
  return [withPair.slice(0, -1), withPair.slice(-1)].map((half) => withText(chunk, half));
}

function withText(chunk: Chunk, text: string): Chunk {
  const changed = withDelta(chunk, { content: text });
  return { ...changed, choices: choicesOf(changed).map((choice) => ('text' in choice ? { ...choice, text } : choice)) };
}

/** JSON over several `data:` lines, broken where JSON allows white space. */
function multiLine(text: string): string {
  const start = jsonStart(text);
  if (start === 0) return text;
  return `${text.slice(0, start)}${JSON.stringify(JSON.parse(text.slice(start)), null, 1).replaceAll('\n', '\ndata: ')}\n\n`;
}

function longLine(answer: Answer, bytes: number): Answer {
  if (!answer.streamed) return answer;
  let isFirst = true;
  return withEvents(answer, (chunk, part) => {
    if (part !== 'content' || !isFirst) return [{ chunk }];
    isFirst = false;
    return [{ chunk: { ...chunk, obfuscation: 'x'.repeat(bytes) } }];
  });
}

export const LETTERS: Family<LetterKind> = {
  comments: {
    about: 'comment lines before the content, every ARG ms (default 10), five of them',
    on: 'stream',
    harm: 'none',
    only: 'sse',
    arg: 'ms',
    answer(answer, fault) {
      const comment: Step[] = [say(COMMENT, 'preamble'), { do: 'wait', ms: fault.ms ?? 10 }];
      return inserted(answer, contentIndex(answer), ...Array.from({ length: 5 }, () => comment).flat());
    },
  },
  'comments-between': between('a comment before every content event', ': ping\n\n'),
  'comments-endless': forEver('comments and no content', 'before', 10, (_answer, { content }) => [content, COMMENT]),
  'comments-endless-content': forEver('comments after half of the content', 'after', 10, (_answer, { half }) => [half, ': keep-alive\n\n']),
  'comment-long': {
    about: 'a comment of ARG bytes before the content (default 64 KB)',
    on: 'stream',
    harm: 'none',
    only: 'sse',
    arg: 'bytes',
    answer: (answer, fault) => inserted(answer, contentIndex(answer), say(`: ${'x'.repeat(fault.bytes ?? 65_536)}\n\n`, 'preamble')),
  },
  crlf: written('lines end with CR LF', (text) => text.replaceAll(/\r?\n/g, '\r\n')),
  cr: written('lines end with CR', (text) => text.replaceAll(/\r?\n/g, '\r')),
  'mixed-lines': written('lines end with LF, CR LF and CR by turns', mixed),
  bom: {
    about: 'a byte order mark at the beginning, and a blank line after it',
    on: 'both',
    harm: 'none',
    only: 'sse',
    answer(answer) {
      if (!answer.streamed) return rebodied(answer, (body) => Buffer.concat([Buffer.from(`${BOM}\n`), body]));
      return inserted(
        answer,
        answer.steps.findIndex((step) => step.do === 'send'),
        say(`${BOM}\n`, 'preamble'),
      );
    },
  },
  'blank-lines': written('blank lines before every event', (text) => `\n\n${text}`),
  'data-empty': between('events whose data is empty', 'data:\n\ndata: \n\n'),
  'data-multi': written('the JSON of each event over several data lines', multiLine),
  'data-no-space': written('no space after the colon', (text) => text.replaceAll(/^(\w+): /gm, '$1:')),
  'event-lines': written('a line `event: message` in each event', (text) => (text.startsWith('event:') ? text : `event: message\n${text}`)),
  'event-unknown': between('events of an unknown name, whose data is no chunk', 'event: ping\ndata: {"type":"ping"}\n\n'),
  'id-retry': written('lines `id:` and `retry:` in each event', (text, index) => `id: ${index}\nretry: 3000\n${text}`),
  'field-unknown': written('lines of unknown fields, with and without a colon', (text) => `storm\nx-storm: 1\n${text}`),
  'line-long': {
    about: 'a content event of more than ARG bytes in one line (default 1 MB)',
    on: 'stream',
    harm: 'none',
    arg: 'bytes',
    answer: (answer, fault) => longLine(answer, fault.bytes ?? MEGABYTE),
  },
  'preamble-endless': forEver('the role delta again and again', 'before', 10, (answer, { content }) => [
    content,
    sentBefore(answer, content),
  ]),
  endless: forEver('content without end', 'none', 10, (answer, { half }) => [half, sentBefore(answer, half)]),
  'invalid-utf8': {
    about: 'a byte that is no UTF-8 inside the text of each content event, or of a plain body',
    on: 'both',
    harm: 'doubt',
    answer(answer) {
      const spoil = (bytes: Buffer) => spoiled(bytes);
      if (!answer.streamed) return rebodied(answer, spoil);
      const steps = answer.steps.map((step): Step =>
        step.do === 'send' && step.part === 'content' ? { ...step, bytes: spoil(Buffer.from(step.bytes as string)) } : step,
      );
      return { ...answer, steps };
    },
  },
  separators: {
    about: 'separators of Unicode (NEL, LS, PS), form feeds and NUL in the text, which end no line',
    on: 'both',
    harm: 'none',
    content: (choice) =>
      choice.kind === 'text' ? { ...choice, pieces: choice.pieces.map((piece) => `${piece}\u0085\u2028\u2029\u000B\u000C\u0000`) } : choice,
  },
  surrogates: {
    about: 'both halves of one character escaped, in two events',
    on: 'stream',
    harm: 'none',
    only: 'openai-chat',
    answer: (answer) => withEvents(answer, (chunk, part) => (part === 'content' ? halved(chunk) : [chunk]).map((one) => ({ chunk: one }))),
  },
  'spaced-json': written('white space wherever JSON allows it', (text) => {
    const start = jsonStart(text);
    if (start === 0) return text;
    return `${text.slice(0, start)}\t ${JSON.stringify(JSON.parse(text.slice(start)), null, 1).replaceAll('\n', ' ')} \n\n`;
  }),
};

/** Puts a lone 0xff behind the opening quote of the text. */
function spoiled(bytes: Buffer): Buffer {
  const mark = ['"content":"', '"text":"', '"arguments":"', '"refusal":"', '"delta":"'].find((one) => bytes.includes(one));
  if (mark === undefined) return bytes;
  const at = bytes.indexOf(mark) + mark.length;
  return Buffer.concat([bytes.subarray(0, at), Buffer.from([0xff]), bytes.subarray(at)]);
}
