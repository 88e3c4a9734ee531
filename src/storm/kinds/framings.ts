/** HTTP framing: heads, lengths and chunks that are split, cut, wrong or unusual. */
import { bodyOf, breakIndex, setHeaders } from '../script-edits.ts';
import type { ResponseScript, Step, Wire } from '../response-script.ts';
import { cutAtByte, lengthOf, resize } from '../byte-edits.ts';
import type { Family, FaultBehaviour } from '../fault-behaviour.ts';
import type { FramingKind } from '../fault-names.ts';
import type { StormFault } from '../options.ts';
import { toChunk } from '../wire.ts';
import { breaking } from './connections.ts';

/** The response as bytes on the wire, framed as Node would. */
function onWire(script: ResponseScript, edit?: (steps: Step[]) => Step[]): ResponseScript {
  const wire: Wire = { framing: script.headers['content-length'] === undefined ? 'chunked' : 'raw' };
  if (edit !== undefined) wire.edit = edit;
  return { ...script, wire };
}

/** A non-streaming response with chunked encoding, so that chunk faults apply to it. */
function inChunks(script: ResponseScript): ResponseScript {
  return setHeaders(script, { 'content-length': undefined });
}

function wired(
  about: string,
  harm: FaultBehaviour['harm'],
  arg: 'bytes' | 'ms',
  edit: (steps: Step[], fault: StormFault) => Step[],
): FaultBehaviour {
  return { about, on: 'both', harm, arg, edit: (script, fault) => onWire(script, (steps) => edit(steps, fault)) };
}

/** Breaks inside the encoding of one chunk: the next after ARG content events, or the only one of a non-streaming body. */
function chunkBroken(about: string, keep: (chunk: Buffer) => Buffer, rest: (fault: StormFault) => Step[]): FaultBehaviour {
  return {
    about: `${about}, after ARG content events`,
    on: 'both',
    harm: 'after',
    arg: 'afterTokens',
    edit(script, fault) {
      const from = script.streamed ? breakIndex(script, fault) : script.steps.length - 1;
      return onWire(inChunks(script), (steps) => {
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

/** A non-streaming response with a wrong content-length. */
function lengthened(about: string, harm: FaultBehaviour['harm'], by: number, rest: Step[]): FaultBehaviour {
  return {
    about,
    on: 'non-streaming',
    harm,
    edit(script) {
      if (script.streamed) return script;
      const length = Math.max(1, bodyOf(script).length + by);
      const framed = onWire(setHeaders(script, { 'content-length': String(length) }));
      return { ...framed, steps: [...framed.steps, ...rest] };
    },
  };
}

export const FRAMINGS: Family<FramingKind> = {
  'wire-bytes': wired('one byte per write, head and chunk framing included, ARG ms apart (default 0)', 'none', 'ms', (steps, fault) =>
    resize(steps, 1, fault.ms),
  ),
  'wire-split': wired('writes of ARG bytes (default 7), head and chunk framing included', 'none', 'bytes', (steps, fault) =>
    resize(steps, Math.max(1, fault.bytes ?? 7), fault.ms),
  ),
  'wire-cut': wired(
    'FIN after ARG bytes of the whole response, head and chunk framing included; by default two thirds',
    'after',
    'bytes',
    (steps, fault) => cutAtByte(steps, fault.bytes ?? Math.floor((lengthOf(steps) * 2) / 3), { do: 'fin' }),
  ),
  'wire-reset': wired('RST after ARG bytes of the whole response, by default two thirds', 'after', 'bytes', (steps, fault) =>
    cutAtByte(steps, fault.bytes ?? Math.floor((lengthOf(steps) * 2) / 3), ...breaking('reset', fault)),
  ),
  'chunk-cut': chunkBroken('FIN inside the data of a chunk', halfOf, FIN),
  'chunk-reset': chunkBroken('RST inside the data of a chunk', halfOf, (fault) => breaking('reset', fault)),
  'chunk-cut-size': chunkBroken('FIN inside a chunk size', (chunk) => chunk.subarray(0, 1), FIN),
  'chunk-cut-end': chunkBroken("FIN between a chunk's data and its line break", (chunk) => chunk.subarray(0, -2), FIN),
  'chunk-bad': chunkBroken('a chunk with an invalid size', () => Buffer.from('storm\r\nx\r\n'), FIN),
  'chunk-no-end': {
    about: 'the whole response, then FIN instead of the last chunk',
    on: 'both',
    harm: 'ambiguous',
    edit: (script) => onWire(inChunks(script), (steps) => [...steps.slice(0, -1), { do: 'fin' }]),
  },
  'chunk-extension': {
    about: 'an extension on every chunk',
    on: 'both',
    harm: 'none',
    edit(script) {
      const steps = script.steps.map((step): Step => (step.do === 'send' ? { ...step, bytes: toChunk(step.bytes, ';storm="1"') } : step));
      return {
        ...setHeaders(script, { 'content-length': undefined, 'transfer-encoding': 'chunked' }),
        steps: [...steps, { do: 'send', part: 'done', bytes: '0\r\n\r\n' }],
        wire: { framing: 'raw' },
      };
    },
  },
  trailers: {
    about: 'trailers after the last chunk',
    on: 'both',
    harm: 'none',
    edit: (script) =>
      onWire(setHeaders(inChunks(script), { trailer: 'x-storm-trailer' }), (steps) =>
        steps.with(-1, { do: 'send', part: 'done', bytes: '0\r\nx-storm-trailer: 1\r\n\r\n' }),
      ),
  },
  'close-delimited': {
    about: 'neither content-length nor chunks: closing the connection ends the body',
    on: 'both',
    harm: 'none',
    edit: (script) => ({ ...setHeaders(script, { 'content-length': undefined }), wire: { framing: 'raw' } }),
  },
  'close-delimited-cut': {
    about: 'the same, closed after ARG bytes of the body, by default half of them: indistinguishable from a complete body',
    on: 'both',
    harm: 'after',
    arg: 'bytes',
    edit: (script, fault) => ({
      ...setHeaders(script, { 'content-length': undefined }),
      steps: cutAtByte(script.steps, fault.bytes ?? Math.floor(lengthOf(script.steps) / 2), { do: 'fin' }),
      wire: { framing: 'raw' },
    }),
  },
  'close-after': {
    about: 'the whole response, then FIN despite keep-alive',
    on: 'both',
    harm: 'none',
    edit: (script) => onWire(setHeaders(script, { connection: 'keep-alive' })),
  },
  'length-long': lengthened('a content-length larger than the body, then FIN', 'before', 10, [{ do: 'fin' }]),
  'length-long-open': {
    ...lengthened('a content-length larger than the body, and the connection stays open', 'before', 10, [{ do: 'hang' }]),
    endless: true,
  },
  'length-short': lengthened('a content-length smaller than the body', 'before', -10, []),
  'head-cut': {
    about: 'FIN inside the headers, after ARG bytes (default 40)',
    on: 'both',
    harm: 'before',
    arg: 'bytes',
    edit: (script, fault) => onWire(script, (steps) => cutAtByte(steps, fault.bytes ?? 40, { do: 'fin' })),
  },
  'head-garbage': {
    about: 'bytes that are not HTTP',
    on: 'both',
    harm: 'before',
    edit: (script) => onWire(script, () => [{ do: 'send', part: 'body', bytes: 'SSH-2.0-Storm\r\n\0\x01\x02\r\n\r\n' }, { do: 'fin' }]),
  },
  'head-huge': {
    about: 'a header of ARG bytes (default 100000)',
    on: 'both',
    harm: 'before',
    arg: 'bytes',
    edit: (script, fault) => setHeaders(script, { 'x-storm-long': 'x'.repeat(fault.bytes ?? 100_000) }),
  },
  continue: {
    about: 'an unsolicited 100 Continue before the response',
    on: 'both',
    harm: 'ambiguous',
    edit: (script) => informed(script, 100),
  },
  'early-hints': { about: '103 Early Hints before the response', on: 'both', harm: 'none', edit: (script) => informed(script, 103) },
  upgrade: {
    about: 'status 101 without an upgrade request',
    on: 'both',
    harm: 'before',
    edit: (script) =>
      onWire({ ...script, status: 101, headers: { upgrade: 'websocket', connection: 'Upgrade' } }, (steps) => [
        ...steps.slice(0, 1),
        { do: 'fin' },
      ]),
  },
};

function informed(script: ResponseScript, status: 100 | 103): ResponseScript {
  return { ...script, steps: [{ do: 'inform', status }, ...script.steps] };
}
