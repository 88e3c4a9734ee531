/** Broken and silent connections, and unusual write sizes. */
import { breakAt, breakIndex, bodyOf, contentIndex, closingIndex, pause, sendStep } from '../script-edits.ts';
import type { ResponseScript, Step } from '../response-script.ts';
import { cutAtByte, inOneWrite, lengthOf, resize, splitAtByte } from '../byte-edits.ts';
import type { Family, FaultBehaviour } from '../fault-behaviour.ts';
import type { ConnectionKind } from '../fault-names.ts';
import type { StormFault } from '../options.ts';
import { multibyte } from './contents.ts';

type End = 'fin' | 'reset';

/**
 * The steps that break a connection. A reset discards unread data, so the caller first gets `ms` (default 20) to read,
 * and a caller in the same process an event-loop turn after that.
 */
export function breaking(end: End, fault: StormFault): Step[] {
  return end === 'fin' ? [{ do: 'fin' }] : [{ do: 'wait', ms: fault.ms ?? 20 }, { do: 'turn' }, { do: 'reset' }];
}

const NAME = { fin: 'FIN', reset: 'RST' };

function cutContent(end: End): FaultBehaviour {
  return {
    about: `${NAME[end]} after ARG content events, or half of a non-streaming body`,
    on: 'both',
    harm: 'after',
    arg: 'afterTokens',
    edit: (script, fault) => breakAt(script, fault, () => breaking(end, fault)),
  };
}

/** Breaks after half of the body by default, so that some content has been sent. */
function cutByte(end: End): FaultBehaviour {
  return {
    about: `${NAME[end]} after ARG bytes of the body, by default half of them`,
    on: 'both',
    harm: 'after',
    arg: 'bytes',
    edit: (script, fault) => ({
      ...script,
      steps: cutAtByte(script.steps, fault.bytes ?? Math.floor(lengthOf(script.steps) / 2), ...breaking(end, fault)),
    }),
  };
}

/** Breaks inside the send at index `at`, after a number of its bytes. */
function brokenInside(script: ResponseScript, at: number, bytes: (sent: Buffer) => number, rest: Step[]): ResponseScript {
  const step = script.steps[at];
  if (step?.do !== 'send') return { ...script, steps: [...script.steps.slice(0, at), ...rest] };
  const sent = Buffer.from(step.bytes as string);
  return { ...script, steps: [...script.steps.slice(0, at), sendStep(sent.subarray(0, bytes(sent)), 'content'), ...rest] };
}

function nextSend(script: ResponseScript, from: number): number {
  const at = script.steps.findIndex((step, index) => index >= from && step.do === 'send');
  return at === -1 ? script.steps.length : at;
}

function cutEvent(end: End): FaultBehaviour {
  return {
    about: `${NAME[end]} in the middle of an event, after ARG complete content events; half of a non-streaming body`,
    on: 'both',
    harm: 'after',
    arg: 'afterTokens',
    edit(script, fault) {
      if (!script.streamed) return breakAt(script, fault, () => breaking(end, fault));
      const at = nextSend(script, breakIndex(script, fault));
      return brokenInside(script, at, (sent) => Math.floor(sent.length / 2), breaking(end, fault));
    },
  };
}

/** Offset inside the first multi-byte character; the middle if there is none. */
function insideCharacter(bytes: Buffer): number {
  const lead = bytes.findIndex((byte) => byte >= 0xc0);
  return lead === -1 ? Math.floor(bytes.length / 2) : lead + 1;
}

function cutCharacter(end: End): FaultBehaviour {
  return {
    about: `${NAME[end]} inside a multi-byte character, after ARG content events`,
    on: 'both',
    harm: 'after',
    arg: 'afterTokens',
    content: multibyte,
    edit(script, fault) {
      if (!script.streamed) return brokenInside(script, script.steps.length - 1, insideCharacter, breaking(end, fault));
      return brokenInside(script, nextSend(script, breakIndex(script, fault)), insideCharacter, breaking(end, fault));
    },
  };
}

function dripping(script: ResponseScript, ms: number): ResponseScript {
  if (!script.streamed) return { ...script, steps: resize(script.steps, 64, ms) };
  return { ...script, steps: script.steps.flatMap((step): Step[] => (step.do === 'send' ? [{ do: 'wait', ms }, step] : [step])) };
}

export const CONNECTIONS: Family<ConnectionKind> = {
  reset: { about: 'RST before any byte', on: 'both', harm: 'before', edit: (script) => ({ ...script, steps: [{ do: 'reset' }] }) },
  close: { about: 'FIN before any byte', on: 'both', harm: 'before', edit: (script) => ({ ...script, steps: [{ do: 'fin' }] }) },
  silence: {
    about: 'silence before the headers (ARG ms, default until the caller disconnects)',
    on: 'both',
    harm: 'before',
    endless: true,
    arg: 'ms',
    edit: (script, fault) => ({ ...script, steps: [...pause(fault), ...script.steps] }),
  },
  'silence-content': {
    about: 'headers (and the preamble of a stream), then silence (ARG ms, default until the caller disconnects)',
    on: 'both',
    harm: 'before',
    endless: true,
    arg: 'ms',
    edit: (script, fault) => ({ ...script, steps: script.steps.toSpliced(contentIndex(script), 0, ...pause(fault)) }),
  },
  stall: {
    about: 'silence after ARG content events, or half of a non-streaming body (ms, default until the caller disconnects)',
    on: 'both',
    harm: 'after',
    endless: true,
    arg: 'afterTokens',
    edit: (script, fault) => breakAt(script, fault, (rest) => [...pause(fault), ...rest]),
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
    about: 'FIN after all content and before any terminating event; one byte before the end of a non-streaming body',
    on: 'both',
    harm: 'after',
    edit(script, fault) {
      if (!script.streamed) return brokenInside(script, script.steps.length - 1, () => bodyOf(script).length - 1, breaking('fin', fault));
      return { ...script, steps: [...script.steps.slice(0, closingIndex(script)), { do: 'fin' }] };
    },
  },
  drip: {
    about: 'every event, or every 64 bytes of a non-streaming body, after a delay of ARG ms (default 10)',
    on: 'both',
    harm: 'none',
    arg: 'ms',
    edit: (script, fault) => dripping(script, fault.ms ?? 10),
  },
  bytes: {
    about: 'one byte per write, ARG ms apart (default 0)',
    on: 'both',
    harm: 'none',
    arg: 'ms',
    edit: (script, fault) => ({ ...script, steps: resize(script.steps, 1, fault.ms) }),
  },
  split: {
    about: 'writes of ARG bytes (default 7), regardless of events',
    on: 'both',
    harm: 'none',
    arg: 'bytes',
    edit: (script, fault) => ({ ...script, steps: resize(script.steps, Math.max(1, fault.bytes ?? 7), fault.ms) }),
  },
  'split-at': {
    about: 'two writes, split at byte ARG of the body (default the middle)',
    on: 'both',
    harm: 'none',
    arg: 'bytes',
    edit: (script, fault) => ({ ...script, steps: splitAtByte(script.steps, fault.bytes ?? Math.floor(lengthOf(script.steps) / 2)) }),
  },
  'one-packet': {
    about: 'the whole body in one write',
    on: 'both',
    harm: 'none',
    edit: (script) => ({ ...script, steps: inOneWrite(script.steps) }),
  },
};
