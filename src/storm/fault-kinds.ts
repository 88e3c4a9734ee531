/**
 * The faults, one entry each. A kind may act in four places: `refuse` answers with a failure; `content` changes what is
 * said; `form` answers in the other form than was asked; `answer` changes the answer's program (`answer.ts`).
 * On a plain request a stream fault does its natural equivalent: cut after half of the body, a body that holds an error.
 */
import { breakAt, breakIndex, chopped, gzipped, isStream, mapped, pause, rebodied, sendsBefore, without } from './answer-edits.ts';
import { toBodyAnswer } from './answer.ts';
import type { Answer, Step } from './answer.ts';
import type { Choice } from './content.ts';
import type { Dialect, Failure, FailureReason } from './dialect.ts';
import type { StormFaultKind } from './fault-names.ts';
import type { StormFault } from './options.ts';

/** What a fault may look at. */
export interface Scene {
  dialect: Dialect;
  model: string;
  call: number;
  epochMs: number;
  fields: Readonly<Record<string, unknown>>;
}

export interface FaultBehaviour {
  /** For the documentation. */
  about: string;
  /** What ARG in `fault-KIND-ARG` sets. */
  arg?: keyof StormFault;
  refuse?(fault: StormFault, scene: Scene): Failure | undefined;
  content?(choice: Choice, fault: StormFault): Choice;
  form?: 'plain' | 'stream';
  answer?(answer: Answer, fault: StormFault, scene: Scene): Answer;
}

/** Waits that no client can take at their word. */
const ABSURD = ['-1', 'soon', '99999999999', '1e400', 'NaN', '', 'Thu, 01 Jan 1970 00:00:00 GMT'];

const REPEATED = 'and then the storm came back ';

/** Every kind with what it does. A new one needs its name in `fault-names.ts` and an entry here. */
export const FAULT_KINDS: Readonly<Record<StormFaultKind, FaultBehaviour>> = {
  '429': refusing('rate limit, no word about waiting', 'rate-limit'),
  '429-retry': {
    about: 'rate limit with Retry-After in seconds (ARG, default 1)',
    arg: 'retryAfter',
    refuse: (fault) => limited({ 'retry-after': String(fault.retryAfter ?? 1) }),
  },
  '429-date': {
    about: 'rate limit with Retry-After as an HTTP date, ms ahead (ARG, default 2000; may be negative by header)',
    arg: 'ms',
    refuse: (fault, { epochMs }) => limited({ 'retry-after': new Date(epochMs + (fault.ms ?? 2000)).toUTCString() }),
  },
  '429-ms': {
    about: 'rate limit with retry-after-ms only (ARG, default 250)',
    arg: 'retryAfterMs',
    refuse: (fault) => limited({ 'retry-after-ms': String(fault.retryAfterMs ?? 250) }),
  },
  '429-text': {
    about: 'rate limit, the wait only in the message (ARG ms, default 1200)',
    arg: 'ms',
    refuse: (fault, { model }) => ({
      reason: 'rate-limit',
      message: `Rate limit reached for ${model}. Please try again in ${(fault.ms ?? 1200) / 1000}s.`,
    }),
  },
  '429-absurd': {
    about: 'rate limit with a Retry-After that makes no sense, another one each call (or retryAfter)',
    arg: 'retryAfter',
    refuse: (fault, { call }) => limited({ 'retry-after': String(fault.retryAfter ?? ABSURD[(call - 1) % ABSURD.length]) }),
  },
  '429-empty': refusing('rate limit with an empty body', 'rate-limit', { contentType: 'text/plain', body: '' }),
  '429-quota': refusing('insufficient_quota', 'quota'),
  '429-too-large': refusing('request larger than the limit', 'too-large'),
  '429-slow-down': refusing('slow_down', 'slow-down'),
  '400': refusing('plain invalid_request_error', 'invalid'),
  '400-context': refusing('context_length_exceeded', 'context-length'),
  '400-parameter': {
    about: 'unsupported_parameter for field ARG (default temperature), as long as it is sent',
    arg: 'param',
    refuse: ({ param = 'temperature' }, { fields }) => (param in fields ? { reason: 'parameter', param } : undefined),
  },
  '400-content-filter': refusing('prompt refused by the content filter', 'content-filter'),
  '401': refusing('invalid_api_key', 'bad-key'),
  '403': refusing('unsupported_country_region_territory', 'forbidden'),
  '404': refusing('model_not_found', 'no-model'),
  '408': refusing('request timeout', 'request-timeout'),
  '409': refusing('conflict', 'conflict'),
  '413': refusing('HTML page of a proxy in front', 'status', html(413, 'Request Entity Too Large'), 413),
  '500': refusing('server_error', 'server'),
  '500-html': refusing('HTML error page', 'server', html(500, 'Internal Server Error')),
  '502': refusing('bad gateway as JSON', 'bad-gateway'),
  '502-html': refusing('HTML error page', 'bad-gateway', html(502, 'Bad Gateway')),
  '503': refusing('server_is_overloaded', 'unavailable'),
  '503-html': refusing('HTML error page', 'unavailable', html(503, 'Service Temporarily Unavailable')),
  '504': refusing('gateway timeout as JSON', 'gateway-timeout'),
  '504-html': refusing('HTML error page', 'gateway-timeout', html(504, 'Gateway Time-out')),
  '529': refusing('overloaded', 'overloaded'),
  status: { ...refusing('status ARG with a JSON error', 'status'), arg: 'status' },

  reset: { about: 'RST before any byte', answer: (answer) => ({ ...answer, steps: [{ do: 'reset' }] }) },
  close: { about: 'FIN before any byte', answer: (answer) => ({ ...answer, steps: [{ do: 'fin' }] }) },
  silence: {
    about: 'silence before the headers (ARG ms, default for ever)',
    arg: 'ms',
    answer: (answer, fault) => ({ ...answer, steps: [...pause(fault), ...answer.steps] }),
  },
  'silence-content': {
    about: 'headers (and the preamble of a stream), then silence (ARG ms, default for ever)',
    arg: 'ms',
    answer(answer, fault) {
      const first = answer.steps.findIndex((step) => step.do === 'send' && step.part !== 'preamble');
      return { ...answer, steps: answer.steps.toSpliced(first, 0, ...pause(fault)) };
    },
  },
  stall: {
    about: 'silence after ARG content events, or half of a plain body (ms, default for ever)',
    arg: 'afterTokens',
    answer: (answer, fault) => breakAt(answer, fault, (rest) => [...pause(fault), ...rest]),
  },
  cut: {
    about: 'FIN after ARG content events, or half of a plain body',
    arg: 'afterTokens',
    answer: (answer, fault) => breakAt(answer, fault, () => [{ do: 'fin' }]),
  },
  'cut-reset': {
    about: 'RST after ARG content events, or half of a plain body',
    arg: 'afterTokens',
    // A reset discards what the caller has not read yet: give it a moment (ms, default 20), and a caller in this very
    // process a turn of the loop after it.
    answer: (answer, fault) => breakAt(answer, fault, () => [{ do: 'wait', ms: fault.ms ?? 20 }, { do: 'turn' }, { do: 'reset' }]),
  },
  drip: {
    about: 'every event, or every 64 bytes of a plain body, after a pause of ARG ms (default 10)',
    arg: 'ms',
    answer: (answer, fault) => chopped(answer, 64, fault.ms ?? 10),
  },
  bytes: {
    about: 'one byte per write, with a pause of ARG ms (default none)',
    arg: 'ms',
    answer: (answer, fault) => chopped(answer, 1, fault.ms ?? 0),
  },

  'error-first': {
    about: 'status 200, and an error is all that it holds',
    answer: (answer, fault, scene) => withError(answer, fault, scene, 0),
  },
  'error-preamble': {
    about: 'an error event after the role delta',
    answer(answer, fault, scene) {
      const content = answer.steps.findIndex((step) => step.do === 'send' && step.part !== 'preamble');
      return withError(answer, fault, scene, sendsBefore(answer, content));
    },
  },
  'error-content': {
    about: 'an error event after ARG content events',
    arg: 'afterTokens',
    answer: (answer, fault, scene) => withError(answer, fault, scene, sendsBefore(answer, breakIndex(answer, fault))),
  },
  'no-done': { about: 'the stream ends without [DONE]', answer: (answer) => without(answer, ['done']) },
  'no-finish': { about: 'no finish_reason, then [DONE]', content: (choice) => ({ ...choice, finish: 'none' }) },
  'no-end': {
    about: 'the stream ends without finish_reason, usage and [DONE]',
    answer: (answer) => without(answer, ['finish', 'usage', 'done']),
  },
  malformed: {
    about: 'an event that is no JSON after ARG content events; a plain body with its end missing',
    arg: 'afterTokens',
    answer(answer, fault) {
      if (!isStream(answer)) return rebodied(answer, (body) => body.subarray(0, body.length / 2));
      const at = breakIndex(answer, fault);
      return {
        ...answer,
        steps: answer.steps.toSpliced(at, 0, { do: 'send', part: 'content', bytes: 'data: {"id":"chatcmpl-broken","choices":[{"ind\n\n' }),
      };
    },
  },
  'empty-choices': { about: 'choices: []', content: (choice) => ({ ...choice, kind: 'absent', pieces: [] }) },
  'empty-null': {
    about: 'content: null',
    content: (choice) => ({ kind: 'null', pieces: [], finish: choice.finish === 'tool' ? 'stop' : choice.finish }),
  },
  empty: { about: 'content is an empty string', content: () => ({ kind: 'text', pieces: [], finish: 'stop' }) },
  'empty-body': {
    about: 'status 200 and no body at all',
    answer: (answer) => ({ ...toBodyAnswer(200, answer.headers['content-type']!, '') }),
  },
  truncated: {
    about: 'the answer ends after ARG tokens with finish_reason length',
    arg: 'afterTokens',
    content: (choice, fault) => ({
      ...choice,
      pieces: choice.pieces.slice(0, fault.afterTokens ?? Math.ceil(choice.pieces.length / 2)),
      finish: 'length',
    }),
  },
  refusal: {
    about: 'the model refuses',
    content: () => ({ kind: 'refusal', pieces: ["I'm", ' sorry,', ' I', " can't", ' assist', ' with', ' that.'], finish: 'stop' }),
  },
  'content-filter': { about: 'nothing but finish_reason content_filter', content: () => ({ kind: 'null', pieces: [], finish: 'filter' }) },
  repetition: {
    about: 'the same phrase again and again until the length ends it',
    content: (choice) => ({
      kind: 'text',
      pieces: Array.from({ length: Math.max(40, choice.pieces.length) }, () => REPEATED),
      finish: 'length',
    }),
  },
  prose: {
    about: 'prose where JSON or a tool call was asked',
    content: () => ({ kind: 'text', pieces: ['Here', ' is', ' what', ' you', ' asked', ' for.'], finish: 'stop' }),
  },

  html: { about: 'status 200 with an HTML page', answer: () => htmlAnswer(200, 'Welcome') },
  'wrong-type': {
    about: 'the right body as text/plain',
    answer: (answer) => ({ ...answer, headers: { ...answer.headers, 'content-type': 'text/plain' } }),
  },
  'json-for-stream': { about: 'a plain JSON answer though a stream was asked', form: 'plain' },
  'sse-for-plain': { about: 'a stream though a plain answer was asked', form: 'stream' },
  gzip: { about: 'the answer gzipped', answer: gzipped },
  comments: {
    about: 'comment lines before the content, every ARG ms (default 10), five of them',
    arg: 'ms',
    answer(answer, fault) {
      if (!isStream(answer)) return answer;
      const first = answer.steps.findIndex((step) => step.do === 'send' && step.part !== 'preamble');
      const comment: Step[] = [
        { do: 'send', part: 'preamble', bytes: ': STORM PROCESSING\n\n' },
        { do: 'wait', ms: fault.ms ?? 10 },
      ];
      return { ...answer, steps: answer.steps.toSpliced(first, 0, ...Array.from({ length: 5 }, () => comment).flat()) };
    },
  },
  crlf: {
    about: 'lines end with CR LF',
    answer: (answer) => (isStream(answer) ? mapped(answer, (text) => text.replaceAll('\n', '\r\n')) : answer),
  },
  bom: {
    about: 'a byte order mark and a blank line before a plain body',
    answer: (answer) => (isStream(answer) ? answer : rebodied(answer, (body) => Buffer.concat([Buffer.from('\uFEFF\n'), body]))),
  },
  trailing: {
    about: 'garbage after a plain body',
    answer: (answer) => (isStream(answer) ? answer : rebodied(answer, (body) => Buffer.concat([body, Buffer.from('}garbage')]))),
  },
};

function refusing(about: string, reason: FailureReason, raw?: { contentType: string; body: string }, status?: number): FaultBehaviour {
  return {
    about,
    refuse(_fault, { model }) {
      const failure: Failure = { reason, model };
      if (raw !== undefined) failure.raw = raw;
      if (status !== undefined) failure.status = status;
      return failure;
    },
  };
}

function limited(headers: Record<string, string>): Failure {
  return { reason: 'rate-limit', headers };
}

function html(status: number, title: string): { contentType: string; body: string } {
  const body = `<html>\r\n<head><title>${status} ${title}</title></head>\r\n<body>\r\n<center><h1>${status} ${title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n`;
  return { contentType: 'text/html', body };
}

function htmlAnswer(status: number, title: string): Answer {
  const { contentType, body } = html(status, title);
  return toBodyAnswer(status, contentType, body);
}

/** Ends a stream with an error event after `sends` events; a plain answer is the error, with status 200. */
function withError(answer: Answer, fault: StormFault, { dialect, model }: Scene, sends: number): Answer {
  const failure: Failure = { reason: 'server', model };
  if (fault.message !== undefined) failure.message = fault.message;
  if (!isStream(answer)) return toBodyAnswer(200, 'application/json', dialect.failure(failure).body);
  let seen = 0;
  const steps = answer.steps.filter((step) => step.do !== 'send' || seen++ < sends);
  const end = steps.findLastIndex((step) => step.do !== 'wait');
  return { ...answer, steps: [...steps.slice(0, end + 1), { do: 'send', part: 'finish', bytes: dialect.failureEvent(failure) }] };
}
