/** Syntax of server-sent events and JSON: everything that the specifications allow, and some violations. */
import { breakIndex, contentIndex, endAt, insertAt, mapText, withBodyBytes, sendStep } from '../script-edits.ts';
import type { ResponseScript, Step } from '../response-script.ts';
import { choicesOf, jsonStart, withDelta, withEvents } from '../event-edits.ts';
import type { Chunk } from '../event-edits.ts';
import type { Family, FaultBehaviour } from '../fault-behaviour.ts';
import type { LetterKind } from '../fault-names.ts';
import { textOf } from './contents.ts';

const COMMENT = ': STORM PROCESSING\n\n';
const BOM = '\uFEFF';
const MEGABYTE = 1024 * 1024;

/** A kind that rewrites every event of a stream without changing its content. */
function written(about: string, change: (text: string, index: number) => string): FaultBehaviour {
  return {
    about,
    on: 'stream',
    harm: 'none',
    only: 'sse',
    edit(script) {
      let index = 0;
      return script.streamed ? mapText(script, (text) => change(text, index++)) : script;
    },
  };
}

/** Inserts bytes between all content events. */
function between(about: string, bytes: string): FaultBehaviour {
  return {
    about,
    on: 'stream',
    harm: 'none',
    only: 'sse',
    edit(script) {
      if (!script.streamed) return script;
      const steps = script.steps.flatMap((step): Step[] =>
        step.do === 'send' && step.part === 'content' ? [sendStep(bytes), step] : [step],
      );
      return { ...script, steps };
    },
  };
}

/** Repeats the same bytes until the caller disconnects, each after ARG ms. */
function forEver(
  about: string,
  harm: FaultBehaviour['harm'],
  ms: number,
  at: (script: ResponseScript, index: { content: number; half: number }) => [index: number, bytes: string],
): FaultBehaviour {
  return {
    about: `${about}, every ARG ms (default ${ms})`,
    on: 'stream',
    harm,
    endless: true,
    arg: 'ms',
    only: 'sse',
    edit(script, fault) {
      if (!script.streamed) return script;
      const [index, bytes] = at(script, { content: contentIndex(script), half: breakIndex(script, fault) });
      return endAt(script, index, { do: 'repeat', bytes, ms: fault.ms ?? ms });
    },
  };
}

/** The bytes of the send before an index, for repetition. */
function sentBefore(script: ResponseScript, index: number): string {
  const step = script.steps.slice(0, index).findLast((one) => one.do === 'send');
  return step?.do === 'send' ? String(step.bytes) : COMMENT;
}

/** Mixes the three line endings, a different one per line. LF must not follow CR, since together they are one line ending. */
function mixed(text: string, at: number): string {
  let count = at;
  return text.replaceAll(/\r?\n/g, () => ['\r\n', '\n', '\r'][count++ % 3]!);
}

/** Adds one character at the end of a text, split into two events: JSON can escape half a surrogate pair, UTF-8 cannot encode it. */
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

/** Splits JSON over several `data:` lines, where JSON allows white space. */
function multiLine(text: string): string {
  const start = jsonStart(text);
  if (start === 0) return text;
  return `${text.slice(0, start)}${JSON.stringify(JSON.parse(text.slice(start)), null, 1).replaceAll('\n', '\ndata: ')}\n\n`;
}

function longLine(script: ResponseScript, bytes: number): ResponseScript {
  if (!script.streamed) return script;
  let isFirst = true;
  return withEvents(script, (chunk, part) => {
    if (part !== 'content' || !isFirst) return [{ chunk }];
    isFirst = false;
    return [{ chunk: { ...chunk, obfuscation: 'x'.repeat(bytes) } }];
  });
}

export const LETTERS: Family<LetterKind> = {
  comments: {
    about: 'five comment lines before the content, ARG ms apart (default 10)',
    on: 'stream',
    harm: 'none',
    only: 'sse',
    arg: 'ms',
    edit(script, fault) {
      const comment: Step[] = [sendStep(COMMENT, 'preamble'), { do: 'wait', ms: fault.ms ?? 10 }];
      return insertAt(script, contentIndex(script), ...Array.from({ length: 5 }, () => comment).flat());
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
    edit: (script, fault) => insertAt(script, contentIndex(script), sendStep(`: ${'x'.repeat(fault.bytes ?? 65_536)}\n\n`, 'preamble')),
  },
  crlf: written('CRLF line endings', (text) => text.replaceAll(/\r?\n/g, '\r\n')),
  cr: written('CR line endings', (text) => text.replaceAll(/\r?\n/g, '\r')),
  'mixed-lines': written('LF, CRLF and CR line endings in turn', mixed),
  bom: {
    about: 'a byte order mark at the start, followed by a blank line',
    on: 'both',
    harm: 'none',
    only: 'sse',
    edit(script) {
      if (!script.streamed) return withBodyBytes(script, (body) => Buffer.concat([Buffer.from(`${BOM}\n`), body]));
      return insertAt(
        script,
        script.steps.findIndex((step) => step.do === 'send'),
        sendStep(`${BOM}\n`, 'preamble'),
      );
    },
  },
  'blank-lines': written('blank lines before every event', (text) => `\n\n${text}`),
  'data-empty': between('events with empty data', 'data:\n\ndata: \n\n'),
  'data-multi': written('the JSON of each event over several data lines', multiLine),
  'data-no-space': written('no space after the colon', (text) => text.replaceAll(/^(\w+): /gm, '$1:')),
  'event-lines': written('an `event: message` line in each event', (text) =>
    text.startsWith('event:') ? text : `event: message\n${text}`,
  ),
  'event-unknown': between('events with an unknown name and data that is not a chunk', 'event: ping\ndata: {"type":"ping"}\n\n'),
  'id-retry': written('`id:` and `retry:` lines in each event', (text, index) => `id: ${index}\nretry: 3000\n${text}`),
  'field-unknown': written('lines with unknown fields, with and without a colon', (text) => `storm\nx-storm: 1\n${text}`),
  'line-long': {
    about: 'a content event of more than ARG bytes on one line (default 1 MB)',
    on: 'stream',
    harm: 'none',
    arg: 'bytes',
    edit: (script, fault) => longLine(script, fault.bytes ?? MEGABYTE),
  },
  'preamble-endless': forEver('the role delta repeated without end', 'before', 10, (script, { content }) => [
    content,
    sentBefore(script, content),
  ]),
  endless: forEver('content without end', 'none', 10, (script, { half }) => [half, sentBefore(script, half)]),
  'invalid-utf8': {
    about: 'an invalid UTF-8 byte inside the text of each content event, or of a non-streaming body',
    on: 'both',
    harm: 'ambiguous',
    edit(script) {
      const spoil = (bytes: Buffer) => spoiled(bytes);
      if (!script.streamed) return withBodyBytes(script, spoil);
      const steps = script.steps.map((step): Step =>
        step.do === 'send' && step.part === 'content' ? { ...step, bytes: spoil(Buffer.from(step.bytes as string)) } : step,
      );
      return { ...script, steps };
    },
  },
  separators: {
    about: 'Unicode separators (NEL, LS, PS), form feeds and NUL in the text, none of which end a line',
    on: 'both',
    harm: 'none',
    content: (choice) =>
      choice.kind === 'text' ? { ...choice, deltas: choice.deltas.map((delta) => `${delta}\u0085\u2028\u2029\u000B\u000C\u0000`) } : choice,
  },
  surrogates: {
    about: 'both halves of a surrogate pair escaped, in two events',
    on: 'stream',
    harm: 'none',
    only: 'openai-chat',
    edit: (script) => withEvents(script, (chunk, part) => (part === 'content' ? halved(chunk) : [chunk]).map((one) => ({ chunk: one }))),
  },
  'spaced-json': written('white space everywhere JSON allows it', (text) => {
    const start = jsonStart(text);
    if (start === 0) return text;
    return `${text.slice(0, start)}\t ${JSON.stringify(JSON.parse(text.slice(start)), null, 1).replaceAll('\n', ' ')} \n\n`;
  }),
};

/** Inserts a lone 0xff after the opening quote of the text. */
function spoiled(bytes: Buffer): Buffer {
  const mark = ['"content":"', '"text":"', '"arguments":"', '"refusal":"', '"delta":"'].find((one) => bytes.includes(one));
  if (mark === undefined) return bytes;
  const at = bytes.indexOf(mark) + mark.length;
  return Buffer.concat([bytes.subarray(0, at), Buffer.from([0xff]), bytes.subarray(at)]);
}
