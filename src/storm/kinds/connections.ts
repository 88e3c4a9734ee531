/** Connections that break or fall silent, and bytes that come in odd pieces. */
import { breakAt, breakIndex, bodyOf, contentIndex, closingIndex, pause, say } from '../answer-edits.ts';
import type { Answer, Step } from '../answer.ts';
import { cutAtByte, inOneWrite, lengthOf, resized, splitAtByte } from '../byte-edits.ts';
import type { Family, FaultBehaviour } from '../fault-behaviour.ts';
import type { ConnectionKind } from '../fault-names.ts';
import type { StormFault } from '../options.ts';
import { multibyte } from './contents.ts';

type End = 'fin' | 'reset';

/**
 * The steps that break a connection. A reset discards what the caller has not read yet: give it a moment (ms, default
 * 20), and a caller in this very process a turn of the loop after it.
 */
export function breaking(end: End, fault: StormFault): Step[] {
  return end === 'fin' ? [{ do: 'fin' }] : [{ do: 'wait', ms: fault.ms ?? 20 }, { do: 'turn' }, { do: 'reset' }];
}

const NAME = { fin: 'FIN', reset: 'RST' };

function cutContent(end: End): FaultBehaviour {
  return {
    about: `${NAME[end]} after ARG content events, or half of a plain body`,
    on: 'both',
    harm: 'after',
    arg: 'afterTokens',
    answer: (answer, fault) => breakAt(answer, fault, () => breaking(end, fault)),
  };
}

/** Half of a body by default, so that some content is out. */
function cutByte(end: End): FaultBehaviour {
  return {
    about: `${NAME[end]} after ARG bytes of the body, by default half of them`,
    on: 'both',
    harm: 'after',
    arg: 'bytes',
    answer: (answer, fault) => ({
      ...answer,
      steps: cutAtByte(answer.steps, fault.bytes ?? Math.floor(lengthOf(answer.steps) / 2), ...breaking(end, fault)),
    }),
  };
}

/** Breaks inside the send at `at`, after so many bytes of it. */
function brokenInside(answer: Answer, at: number, bytes: (sent: Buffer) => number, rest: Step[]): Answer {
  const step = answer.steps[at];
  if (step?.do !== 'send') return { ...answer, steps: [...answer.steps.slice(0, at), ...rest] };
  const sent = Buffer.from(step.bytes as string);
  return { ...answer, steps: [...answer.steps.slice(0, at), say(sent.subarray(0, bytes(sent)), 'content'), ...rest] };
}

function nextSend(answer: Answer, from: number): number {
  const at = answer.steps.findIndex((step, index) => index >= from && step.do === 'send');
  return at === -1 ? answer.steps.length : at;
}

function cutEvent(end: End): FaultBehaviour {
  return {
    about: `${NAME[end]} in the middle of an event, after ARG whole content events; half of a plain body`,
    on: 'both',
    harm: 'after',
    arg: 'afterTokens',
    answer(answer, fault) {
      if (!answer.streamed) return breakAt(answer, fault, () => breaking(end, fault));
      const at = nextSend(answer, breakIndex(answer, fault));
      return brokenInside(answer, at, (sent) => Math.floor(sent.length / 2), breaking(end, fault));
    },
  };
}

/** Where the first character of several bytes has begun and not ended; the middle where there is none. */
function insideCharacter(bytes: Buffer): number {
  const lead = bytes.findIndex((byte) => byte >= 0xc0);
  return lead === -1 ? Math.floor(bytes.length / 2) : lead + 1;
}

function cutCharacter(end: End): FaultBehaviour {
  return {
    about: `${NAME[end]} in the middle of a character of several bytes, after ARG content events`,
    on: 'both',
    harm: 'after',
    arg: 'afterTokens',
    content: multibyte,
    answer(answer, fault) {
      if (!answer.streamed) return brokenInside(answer, answer.steps.length - 1, insideCharacter, breaking(end, fault));
      return brokenInside(answer, nextSend(answer, breakIndex(answer, fault)), insideCharacter, breaking(end, fault));
    },
  };
}

function dripping(answer: Answer, ms: number): Answer {
  if (!answer.streamed) return { ...answer, steps: resized(answer.steps, 64, ms) };
  return { ...answer, steps: answer.steps.flatMap((step): Step[] => (step.do === 'send' ? [{ do: 'wait', ms }, step] : [step])) };
}

export const CONNECTIONS: Family<ConnectionKind> = {
  reset: { about: 'RST before any byte', on: 'both', harm: 'before', answer: (answer) => ({ ...answer, steps: [{ do: 'reset' }] }) },
  close: { about: 'FIN before any byte', on: 'both', harm: 'before', answer: (answer) => ({ ...answer, steps: [{ do: 'fin' }] }) },
  silence: {
    about: 'silence before the headers (ARG ms, default for ever)',
    on: 'both',
    harm: 'before',
    endless: true,
    arg: 'ms',
    answer: (answer, fault) => ({ ...answer, steps: [...pause(fault), ...answer.steps] }),
  },
  'silence-content': {
    about: 'headers (and the preamble of a stream), then silence (ARG ms, default for ever)',
    on: 'both',
    harm: 'before',
    endless: true,
    arg: 'ms',
    answer: (answer, fault) => ({ ...answer, steps: answer.steps.toSpliced(contentIndex(answer), 0, ...pause(fault)) }),
  },
  stall: {
    about: 'silence after ARG content events, or half of a plain body (ms, default for ever)',
    on: 'both',
    harm: 'after',
    endless: true,
    arg: 'afterTokens',
    answer: (answer, fault) => breakAt(answer, fault, (rest) => [...pause(fault), ...rest]),
  },
  cut: cutContent('fin'),
  'cut-reset': cutContent('reset'),
  'cut-byte': cutByte('fin'),
  'reset-byte': cutByte('reset'),
  'cut-event': cutEvent('fin'),
  'reset-event': cutEvent('reset'),
  'cut-character': cutCharacter('fin'),
  'reset-character': cutCharacter('reset'),
  'cut-last': {
    about: 'FIN when all content is out and nothing that ends it; one byte before the end of a plain body',
    on: 'both',
    harm: 'after',
    answer(answer, fault) {
      if (!answer.streamed) return brokenInside(answer, answer.steps.length - 1, () => bodyOf(answer).length - 1, breaking('fin', fault));
      return { ...answer, steps: [...answer.steps.slice(0, closingIndex(answer)), { do: 'fin' }] };
    },
  },
  drip: {
    about: 'every event, or every 64 bytes of a plain body, after a pause of ARG ms (default 10)',
    on: 'both',
    harm: 'none',
    arg: 'ms',
    answer: (answer, fault) => dripping(answer, fault.ms ?? 10),
  },
  bytes: {
    about: 'one byte per write, with a pause of ARG ms (default none)',
    on: 'both',
    harm: 'none',
    arg: 'ms',
    answer: (answer, fault) => ({ ...answer, steps: resized(answer.steps, 1, fault.ms) }),
  },
  split: {
    about: 'writes of ARG bytes (default 7), whatever the events',
    on: 'both',
    harm: 'none',
    arg: 'bytes',
    answer: (answer, fault) => ({ ...answer, steps: resized(answer.steps, Math.max(1, fault.bytes ?? 7), fault.ms) }),
  },
  'split-at': {
    about: 'two writes, the second from byte ARG of the body on (default its middle)',
    on: 'both',
    harm: 'none',
    arg: 'bytes',
    answer: (answer, fault) => ({ ...answer, steps: splitAtByte(answer.steps, fault.bytes ?? Math.floor(lengthOf(answer.steps) / 2)) }),
  },
  'one-packet': {
    about: 'the whole body in one write',
    on: 'both',
    harm: 'none',
    answer: (answer) => ({ ...answer, steps: inOneWrite(answer.steps) }),
  },
};
