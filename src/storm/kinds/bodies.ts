/** Bodies in the wrong form, with the wrong type, or with extra bytes. */
import { setHeaders, withBodyBytes } from '../script-edits.ts';
import { toBodyScript } from '../response-script.ts';
import type { ResponseScript, Step } from '../response-script.ts';
import { cutAtByte, lengthOf } from '../byte-edits.ts';
import { jsonStart, withBody } from '../event-edits.ts';
import type { Family, FaultBehaviour } from '../fault-behaviour.ts';
import type { BodyKind } from '../fault-names.ts';
import { toHtmlPage } from '../error-shapes.ts';

function typed(about: string, type: string | undefined): FaultBehaviour {
  return { about, on: 'both', harm: 'none', edit: (script) => setHeaders(script, { 'content-type': type }) };
}

/** A kind that changes the bytes of a non-streaming body. */
function bodyEdit(about: string, harm: FaultBehaviour['harm'], change: (body: Buffer) => Buffer): FaultBehaviour {
  return { about, on: 'non-streaming', harm, edit: (script) => (script.streamed ? script : withBodyBytes(script, change)) };
}

const and = (text: string) => (body: Buffer) => Buffer.concat([body, Buffer.from(text)]);

/** JSON lines instead of events. */
function asLines(script: ResponseScript): ResponseScript {
  if (!script.streamed) return script;
  const steps = script.steps.flatMap((step): Step[] => {
    if (step.do !== 'send') return [step];
    const start = jsonStart(String(step.bytes));
    return start > 0 ? [{ ...step, bytes: `${String(step.bytes).slice(start).trimEnd()}\n` }] : [];
  });
  return { ...setHeaders(script, { 'content-type': 'application/x-ndjson' }), steps };
}

/** Empty lines before the JSON while the caller waits, as DeepSeek sends them. They preclude a content-length. */
function leadingLines(script: ResponseScript, ms: number): ResponseScript {
  if (script.streamed) return script;
  const lines = Array.from({ length: 5 }, (): Step[] => [
    { do: 'send', part: 'body', bytes: '\n' },
    { do: 'wait', ms },
  ]).flat();
  return { ...setHeaders(script, { 'content-length': undefined }), steps: script.steps.toSpliced(-1, 0, ...lines) };
}

export const BODIES: Family<BodyKind> = {
  'empty-body': {
    about: 'status 200 with an empty body',
    on: 'both',
    harm: 'before',
    edit: (script) => toBodyScript(200, script.headers['content-type'] ?? 'application/json', ''),
  },
  html: {
    about: 'status 200 with an HTML page',
    on: 'both',
    harm: 'before',
    edit: () => toBodyScript(200, 'text/html', toHtmlPage(200)),
  },
  type: {
    about: 'the correct body with content type ARG (default application/octet-stream)',
    on: 'both',
    harm: 'none',
    arg: 'contentType',
    edit: (script, fault) => setHeaders(script, { 'content-type': fault.contentType ?? 'application/octet-stream' }),
  },
  'wrong-type': typed('the correct body as text/plain', 'text/plain'),
  'type-missing': typed('the correct body without a content type', undefined),
  'type-json': typed('the correct body as application/json, even for a stream', 'application/json'),
  'type-sse': typed('the correct body as text/event-stream, even if non-streaming', 'text/event-stream'),
  'type-html': typed('the correct body as text/html', 'text/html; charset=utf-8'),
  'type-case': {
    about: 'the correct type in unusual letter case, with parameters',
    on: 'both',
    harm: 'none',
    edit: (script) =>
      setHeaders(script, { 'content-type': script.streamed ? 'Text/Event-Stream ;charset="UTF-8"' : 'Application/JSON ;charset="UTF-8"' }),
  },
  'json-for-stream': { about: 'a JSON response to a streaming request', on: 'stream', harm: 'none', form: 'non-streaming' },
  'json-for-stream-pretty': {
    about: 'the same, indented over several lines',
    on: 'stream',
    harm: 'none',
    form: 'non-streaming',
    edit: prettily,
  },
  'sse-for-plain': { about: 'a stream in response to a non-streaming request', on: 'non-streaming', harm: 'none', form: 'stream' },
  'sse-for-plain-cut': {
    about: 'the same, with FIN after half of it',
    on: 'non-streaming',
    harm: 'before',
    form: 'stream',
    edit: (script, _fault, context) =>
      context.stream || !script.streamed
        ? script
        : { ...script, steps: cutAtByte(script.steps, Math.floor(lengthOf(script.steps) / 2), { do: 'fin' }) },
  },
  'lines-for-stream': { about: 'a stream as JSON lines instead of events', on: 'stream', harm: 'before', only: 'sse', edit: asLines },
  'two-json': bodyEdit('the JSON twice in a row', 'before', (body) => Buffer.concat([body, Buffer.from('\n'), body])),
  trailing: bodyEdit('garbage after a non-streaming body', 'before', and('}garbage')),
  'trailing-space': bodyEdit('white space and line breaks after a non-streaming body', 'none', and(' \r\n\t\n\n')),
  'leading-lines': {
    about: 'five empty lines before a non-streaming body, ARG ms apart (default 10)',
    on: 'non-streaming',
    harm: 'none',
    arg: 'ms',
    edit: (script, fault) => leadingLines(script, fault.ms ?? 10),
  },
  pretty: { about: 'the JSON indented over several lines', on: 'non-streaming', harm: 'none', edit: prettily },
  'array-wrapped': {
    about: 'the JSON wrapped in an array',
    on: 'non-streaming',
    harm: 'before',
    edit: (script) => withBody(script, (body) => [body]),
  },
  'null-body': bodyEdit('status 200 and the JSON null', 'before', () => Buffer.from('null')),
  'long-body': {
    about: 'ARG extra bytes in a non-streaming body (default 1 MB)',
    on: 'non-streaming',
    harm: 'none',
    arg: 'bytes',
    edit: (script, fault) => withBody(script, (body) => ({ ...body, obfuscation: 'x'.repeat(fault.bytes ?? 1_048_576) })),
  },
};

function prettily(script: ResponseScript): ResponseScript {
  if (script.streamed || script.headers['content-type']?.startsWith('application/json') !== true) return script;
  return withBodyBytes(script, (body) => Buffer.from(`${JSON.stringify(JSON.parse(body.toString()), null, 2)}\n`));
}
