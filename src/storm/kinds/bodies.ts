/** Bodies of the wrong form, the wrong type, or with something around them. */
import { headed, rebodied } from '../answer-edits.ts';
import { toBodyAnswer } from '../answer.ts';
import type { Answer, Step } from '../answer.ts';
import { cutAtByte, lengthOf } from '../byte-edits.ts';
import { jsonStart, withBody } from '../event-edits.ts';
import type { Family, FaultBehaviour } from '../fault-behaviour.ts';
import type { BodyKind } from '../fault-names.ts';
import { toHtmlPage } from '../error-shapes.ts';

function typed(about: string, type: string | undefined): FaultBehaviour {
  return { about, on: 'both', harm: 'none', answer: (answer) => headed(answer, { 'content-type': type }) };
}

/** A kind that changes the bytes of a plain body. */
function plainly(about: string, harm: FaultBehaviour['harm'], change: (body: Buffer) => Buffer): FaultBehaviour {
  return { about, on: 'plain', harm, answer: (answer) => (answer.streamed ? answer : rebodied(answer, change)) };
}

const and = (text: string) => (body: Buffer) => Buffer.concat([body, Buffer.from(text)]);

/** JSON lines where events were asked for. */
function asLines(answer: Answer): Answer {
  if (!answer.streamed) return answer;
  const steps = answer.steps.flatMap((step): Step[] => {
    if (step.do !== 'send') return [step];
    const start = jsonStart(String(step.bytes));
    return start > 0 ? [{ ...step, bytes: `${String(step.bytes).slice(start).trimEnd()}\n` }] : [];
  });
  return { ...headed(answer, { 'content-type': 'application/x-ndjson' }), steps };
}

/** Empty lines before the JSON while its caller waits, as DeepSeek sends them. No length can be known then. */
function leadingLines(answer: Answer, ms: number): Answer {
  if (answer.streamed) return answer;
  const lines = Array.from({ length: 5 }, (): Step[] => [
    { do: 'send', part: 'body', bytes: '\n' },
    { do: 'wait', ms },
  ]).flat();
  return { ...headed(answer, { 'content-length': undefined }), steps: answer.steps.toSpliced(-1, 0, ...lines) };
}

export const BODIES: Family<BodyKind> = {
  'empty-body': {
    about: 'status 200 and no body at all',
    on: 'both',
    harm: 'before',
    answer: (answer) => toBodyAnswer(200, answer.headers['content-type'] ?? 'application/json', ''),
  },
  html: {
    about: 'status 200 with an HTML page',
    on: 'both',
    harm: 'before',
    answer: () => toBodyAnswer(200, 'text/html', toHtmlPage(200)),
  },
  type: {
    about: 'the right body under the content type ARG (default application/octet-stream)',
    on: 'both',
    harm: 'none',
    arg: 'contentType',
    answer: (answer, fault) => headed(answer, { 'content-type': fault.contentType ?? 'application/octet-stream' }),
  },
  'wrong-type': typed('the right body as text/plain', 'text/plain'),
  'type-missing': typed('the right body without a content type', undefined),
  'type-json': typed('the right body as application/json, a stream too', 'application/json'),
  'type-sse': typed('the right body as text/event-stream, a plain one too', 'text/event-stream'),
  'type-html': typed('the right body as text/html', 'text/html; charset=utf-8'),
  'type-case': {
    about: 'the right type in odd letters, with parameters',
    on: 'both',
    harm: 'none',
    answer: (answer) =>
      headed(answer, { 'content-type': answer.streamed ? 'Text/Event-Stream ;charset="UTF-8"' : 'Application/JSON ;charset="UTF-8"' }),
  },
  'json-for-stream': { about: 'a plain JSON answer though a stream was asked', on: 'stream', harm: 'none', form: 'plain' },
  'json-for-stream-pretty': {
    about: 'the same on many lines',
    on: 'stream',
    harm: 'none',
    form: 'plain',
    answer: prettily,
  },
  'sse-for-plain': { about: 'a stream though a plain answer was asked', on: 'plain', harm: 'none', form: 'stream' },
  'sse-for-plain-cut': {
    about: 'the same, with FIN after half of it',
    on: 'plain',
    harm: 'before',
    form: 'stream',
    answer: (answer, _fault, scene) =>
      scene.stream || !answer.streamed
        ? answer
        : { ...answer, steps: cutAtByte(answer.steps, Math.floor(lengthOf(answer.steps) / 2), { do: 'fin' }) },
  },
  'lines-for-stream': { about: 'a stream as JSON lines, not as events', on: 'stream', harm: 'before', only: 'sse', answer: asLines },
  'two-json': plainly('the JSON twice, one after the other', 'before', (body) => Buffer.concat([body, Buffer.from('\n'), body])),
  trailing: plainly('garbage after a plain body', 'before', and('}garbage')),
  'trailing-space': plainly('white space and line ends after a plain body', 'none', and(' \r\n\t\n\n')),
  'leading-lines': {
    about: 'empty lines before a plain body, five of them, ARG ms apart (default 10)',
    on: 'plain',
    harm: 'none',
    arg: 'ms',
    answer: (answer, fault) => leadingLines(answer, fault.ms ?? 10),
  },
  pretty: { about: 'the JSON on many lines', on: 'plain', harm: 'none', answer: prettily },
  'array-wrapped': {
    about: 'the JSON in an array',
    on: 'plain',
    harm: 'before',
    answer: (answer) => withBody(answer, (body) => [body]),
  },
  'null-body': plainly('status 200 and the JSON null', 'before', () => Buffer.from('null')),
  'long-body': {
    about: 'ARG bytes more in a plain body (default 1 MB)',
    on: 'plain',
    harm: 'none',
    arg: 'bytes',
    answer: (answer, fault) => withBody(answer, (body) => ({ ...body, obfuscation: 'x'.repeat(fault.bytes ?? 1_048_576) })),
  },
};

function prettily(answer: Answer): Answer {
  if (answer.streamed || answer.headers['content-type']?.startsWith('application/json') !== true) return answer;
  return rebodied(answer, (body) => Buffer.from(`${JSON.stringify(JSON.parse(body.toString()), null, 2)}\n`));
}
