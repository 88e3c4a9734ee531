/** Content codings: valid, broken, and mislabelled. */
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { setHeaders, withBodyBytes } from '../script-edits.ts';
import type { ResponseScript } from '../response-script.ts';
import { cutAtByte, lengthOf } from '../byte-edits.ts';
import { CODINGS, applyCoding } from '../encodings.ts';
import type { Family, FaultBehaviour } from '../fault-behaviour.ts';
import type { EncodingKind } from '../fault-names.ts';

function coded(about: string, name: keyof typeof CODINGS): FaultBehaviour {
  return { about, on: 'both', harm: 'none', edit: (script) => applyCoding(script, CODINGS[name]) };
}

/** Half of the coded bytes, then the given ending. */
function halfCoded(script: ResponseScript, fault: { bytes?: number }, ends: 'fin' | 'end'): ResponseScript {
  const whole = applyCoding(script, CODINGS.gzipOne);
  const half = fault.bytes ?? Math.floor(lengthOf(whole.steps) / 2);
  if (ends === 'fin') return { ...whole, steps: cutAtByte(whole.steps, half, { do: 'fin' }) };
  const steps = cutAtByte(whole.steps, half);
  return { ...setHeaders(whole, whole.streamed ? {} : { 'content-length': String(lengthOf(steps)) }), steps };
}

/** Flips one bit of the compressed data, after its header. */
function corrupted(script: ResponseScript): ResponseScript {
  const whole = applyCoding(script, CODINGS.gzipOne);
  let left = Math.floor(lengthOf(whole.steps) / 2);
  const steps = whole.steps.map((step) => {
    if (step.do !== 'send') return step;
    const bytes = Buffer.from(step.bytes as string);
    if (left >= 0 && left < bytes.length) bytes[left] = bytes[left]! ^ 0xff;
    left -= bytes.length;
    return { ...step, bytes };
  });
  return { ...whole, steps };
}

export const ENCODINGS: Family<EncodingKind> = {
  gzip: coded('the response gzipped, each event as a separate member', 'gzip'),
  'gzip-one': coded('the response gzipped as one member, flushed after each event', 'gzipOne'),
  br: coded('the response in Brotli', 'br'),
  zstd: coded('the response in Zstandard', 'zstd'),
  deflate: coded('the response in deflate', 'deflate'),
  'gzip-cut': {
    about: 'FIN after ARG bytes of the gzipped response, by default half of them',
    on: 'both',
    harm: 'after',
    arg: 'bytes',
    edit: (script, fault) => halfCoded(script, fault, 'fin'),
  },
  'gzip-truncated': {
    about: 'the gzipped data ends after ARG bytes, by default half of them, although HTTP ends properly',
    on: 'both',
    harm: 'after',
    arg: 'bytes',
    edit: (script, fault) => halfCoded(script, fault, 'end'),
  },
  'gzip-corrupt': { about: 'a corrupted byte in the middle of the gzipped data', on: 'both', harm: 'after', edit: corrupted },
  'gzip-false': {
    about: 'content-encoding: gzip on an uncompressed body',
    on: 'both',
    harm: 'before',
    edit: (script) => setHeaders(script, { 'content-encoding': 'gzip' }),
  },
  'gzip-unnamed': {
    about: 'the response gzipped, without a content-encoding header',
    on: 'both',
    harm: 'before',
    edit: (script) => setHeaders(applyCoding(script, CODINGS.gzip), { 'content-encoding': undefined }),
  },
  'encoding-unknown': {
    about: 'an unknown content-encoding',
    on: 'both',
    harm: 'before',
    edit: (script) => setHeaders(script, { 'content-encoding': 'x-storm' }),
  },
  'encoding-identity': {
    about: 'content-encoding: identity',
    on: 'both',
    harm: 'none',
    edit: (script) => setHeaders(script, { 'content-encoding': 'identity' }),
  },
  'encoding-two': {
    about: 'a non-streaming body in two codings, gzip then Brotli; a stream in gzip alone',
    on: 'both',
    harm: 'none',
    edit(script) {
      if (script.streamed) return applyCoding(script, CODINGS.gzip);
      return withBodyBytes(setHeaders(script, { 'content-encoding': 'gzip, br' }), (body) => brotliCompressSync(gzipSync(body)));
    },
  },
};
