/** HTTP itself: heads, lengths and chunks that are split, cut, wrong or merely unusual. */
import { bodyOf, breakIndex, headed } from '../answer-edits.ts';
import type { Answer, Step, Wire } from '../answer.ts';
import { cutAtByte, lengthOf, resized } from '../byte-edits.ts';
import type { Family, FaultBehaviour } from '../fault-behaviour.ts';
import type { FramingKind } from '../fault-names.ts';
import type { StormFault } from '../options.ts';
import { toChunk } from '../wire.ts';
import { breaking } from './connections.ts';

/** The answer as bytes of the wire, framed as node would frame it. */
function onWire(answer: Answer, edit?: (steps: Step[]) => Step[]): Answer {
  const wire: Wire = { framing: answer.headers['content-length'] === undefined ? 'chunked' : 'plain' };
  if (edit !== undefined) wire.edit = edit;
  return { ...answer, wire };
}

/** A plain answer in chunks, so that faults of chunks have something to break. */
function inChunks(answer: Answer): Answer {
  return headed(answer, { 'content-length': undefined });
}

function wired(
  about: string,
  harm: FaultBehaviour['harm'],
  arg: 'bytes' | 'ms',
  edit: (steps: Step[], fault: StormFault) => Step[],
): FaultBehaviour {
  return { about, on: 'both', harm, arg, answer: (answer, fault) => onWire(answer, (steps) => edit(steps, fault)) };
}

/** Breaks inside the framing of one chunk: the next after ARG content events, or the only one of a plain body. */
function chunkBroken(about: string, keep: (chunk: Buffer) => Buffer, rest: (fault: StormFault) => Step[]): FaultBehaviour {
  return {
    about: `${about}, after ARG content events`,
    on: 'both',
    harm: 'after',
    arg: 'afterTokens',
    answer(answer, fault) {
      const from = answer.streamed ? breakIndex(answer, fault) : answer.steps.length - 1;
      return onWire(inChunks(answer), (steps) => {
        const at = steps.findIndex((step, index) => index >= from && step.do === 'send');
        const step = steps[at];
        if (step?.do !== 'send') return [...steps, ...rest(fault)];
        return [...steps.slice(0, at), { ...step, bytes: keep(Buffer.from(step.bytes as string)) }, ...rest(fault)];
      });
    },
  };
}

const halfOf = (chunk: Buffer): Buffer => chunk.subarray(0, Math.floor(chunk.length / 2));
const FIN = (): Step[] => [{ do: 'fin' }];

/** A plain answer that says another length than it has. */
function lengthened(about: string, harm: FaultBehaviour['harm'], by: number, rest: Step[]): FaultBehaviour {
  return {
    about,
    on: 'plain',
    harm,
    answer(answer) {
      if (answer.streamed) return answer;
      const length = Math.max(1, bodyOf(answer).length + by);
      const framed = onWire(headed(answer, { 'content-length': String(length) }));
      return { ...framed, steps: [...framed.steps, ...rest] };
    },
  };
}

export const FRAMINGS: Family<FramingKind> = {
  'wire-bytes': wired(
    'one byte per write, head and chunk marks included, with a pause of ARG ms (default none)',
    'none',
    'ms',
    (steps, fault) => resized(steps, 1, fault.ms),
  ),
  'wire-split': wired('writes of ARG bytes (default 7), head and chunk marks included', 'none', 'bytes', (steps, fault) =>
    resized(steps, Math.max(1, fault.bytes ?? 7), fault.ms),
  ),
  'wire-cut': wired(
    'FIN after ARG bytes of the whole answer, head and chunk marks included; by default two thirds',
    'after',
    'bytes',
    (steps, fault) => cutAtByte(steps, fault.bytes ?? Math.floor((lengthOf(steps) * 2) / 3), { do: 'fin' }),
  ),
  'wire-reset': wired('RST after ARG bytes of the whole answer, by default two thirds', 'after', 'bytes', (steps, fault) =>
    cutAtByte(steps, fault.bytes ?? Math.floor((lengthOf(steps) * 2) / 3), ...breaking('reset', fault)),
  ),
  'chunk-cut': chunkBroken('FIN amid the data of a chunk', halfOf, FIN),
  'chunk-reset': chunkBroken('RST amid the data of a chunk', halfOf, (fault) => breaking('reset', fault)),
  'chunk-cut-size': chunkBroken("FIN amid a chunk's size", (chunk) => chunk.subarray(0, 1), FIN),
  'chunk-cut-end': chunkBroken("FIN between a chunk's data and its line end", (chunk) => chunk.subarray(0, -2), FIN),
  'chunk-bad': chunkBroken('a chunk whose size is no number', () => Buffer.from('storm\r\nx\r\n'), FIN),
  'chunk-no-end': {
    about: 'all of the answer, and FIN instead of the last chunk',
    on: 'both',
    harm: 'doubt',
    answer: (answer) => onWire(inChunks(answer), (steps) => [...steps.slice(0, -1), { do: 'fin' }]),
  },
  'chunk-extension': {
    about: 'an extension on every chunk',
    on: 'both',
    harm: 'none',
    answer(answer) {
      const steps = answer.steps.map((step): Step => (step.do === 'send' ? { ...step, bytes: toChunk(step.bytes, ';storm="1"') } : step));
      return {
        ...headed(answer, { 'content-length': undefined, 'transfer-encoding': 'chunked' }),
        steps: [...steps, { do: 'send', part: 'done', bytes: '0\r\n\r\n' }],
        wire: { framing: 'plain' },
      };
    },
  },
  trailers: {
    about: 'trailers after the last chunk',
    on: 'both',
    harm: 'none',
    answer: (answer) =>
      onWire(headed(inChunks(answer), { trailer: 'x-storm-trailer' }), (steps) =>
        steps.with(-1, { do: 'send', part: 'done', bytes: '0\r\nx-storm-trailer: 1\r\n\r\n' }),
      ),
  },
  'close-delimited': {
    about: 'neither a length nor chunks: the end of the connection ends the body',
    on: 'both',
    harm: 'none',
    answer: (answer) => ({ ...headed(answer, { 'content-length': undefined }), wire: { framing: 'plain' } }),
  },
  'close-delimited-cut': {
    about: 'the same, ended after ARG bytes of the body, by default half of them: nothing on the wire tells it from the end',
    on: 'both',
    harm: 'after',
    arg: 'bytes',
    answer: (answer, fault) => ({
      ...headed(answer, { 'content-length': undefined }),
      steps: cutAtByte(answer.steps, fault.bytes ?? Math.floor(lengthOf(answer.steps) / 2), { do: 'fin' }),
      wire: { framing: 'plain' },
    }),
  },
  'close-after': {
    about: 'the whole answer, then FIN though the connection was promised to be kept',
    on: 'both',
    harm: 'none',
    answer: (answer) => onWire(headed(answer, { connection: 'keep-alive' })),
  },
  'length-long': lengthened('a content-length that is larger than the body, then FIN', 'before', 10, [{ do: 'fin' }]),
  'length-long-open': {
    ...lengthened('a content-length that is larger than the body, and the connection stays open', 'before', 10, [{ do: 'hang' }]),
    endless: true,
  },
  'length-short': lengthened('a content-length that is smaller than the body', 'before', -10, []),
  'head-cut': {
    about: 'FIN amid the headers, after ARG bytes (default 40)',
    on: 'both',
    harm: 'before',
    arg: 'bytes',
    answer: (answer, fault) => onWire(answer, (steps) => cutAtByte(steps, fault.bytes ?? 40, { do: 'fin' })),
  },
  'head-garbage': {
    about: 'bytes that are no HTTP',
    on: 'both',
    harm: 'before',
    answer: (answer) => onWire(answer, () => [{ do: 'send', part: 'body', bytes: 'SSH-2.0-Storm\r\n\0\x01\x02\r\n\r\n' }, { do: 'fin' }]),
  },
  'head-huge': {
    about: 'a header of ARG bytes (default 100000)',
    on: 'both',
    harm: 'before',
    arg: 'bytes',
    answer: (answer, fault) => headed(answer, { 'x-storm-long': 'x'.repeat(fault.bytes ?? 100_000) }),
  },
  continue: { about: 'an unasked 100 Continue before the answer', on: 'both', harm: 'doubt', answer: (answer) => informed(answer, 100) },
  'early-hints': { about: '103 Early Hints before the answer', on: 'both', harm: 'none', answer: (answer) => informed(answer, 103) },
  upgrade: {
    about: 'status 101, though no other protocol was asked for',
    on: 'both',
    harm: 'before',
    answer: (answer) =>
      onWire({ ...answer, status: 101, headers: { upgrade: 'websocket', connection: 'Upgrade' } }, (steps) => [
        ...steps.slice(0, 1),
        { do: 'fin' },
      ]),
  },
};

function informed(answer: Answer, status: 100 | 103): Answer {
  return { ...answer, steps: [{ do: 'inform', status }, ...answer.steps] };
}
