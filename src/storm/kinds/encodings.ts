/** Content codings: right ones, broken ones, and names that are not true. */
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { headed, rebodied } from '../answer-edits.ts';
import type { Answer } from '../answer.ts';
import { cutAtByte, lengthOf } from '../byte-edits.ts';
import { CODINGS, encoded } from '../encodings.ts';
import type { Family, FaultBehaviour } from '../fault-behaviour.ts';
import type { EncodingKind } from '../fault-names.ts';

function coded(about: string, name: keyof typeof CODINGS): FaultBehaviour {
  return { about, on: 'both', harm: 'none', answer: (answer) => encoded(answer, CODINGS[name]) };
}

/** Half of the coded bytes, and whatever follows them. */
function halfCoded(answer: Answer, fault: { bytes?: number }, ends: 'fin' | 'end'): Answer {
  const whole = encoded(answer, CODINGS.gzipOne);
  const half = fault.bytes ?? Math.floor(lengthOf(whole.steps) / 2);
  if (ends === 'fin') return { ...whole, steps: cutAtByte(whole.steps, half, { do: 'fin' }) };
  const steps = cutAtByte(whole.steps, half);
  return { ...headed(whole, whole.streamed ? {} : { 'content-length': String(lengthOf(steps)) }), steps };
}

/** One bit of the compressed data turned, past its head. */
function corrupted(answer: Answer): Answer {
  const whole = encoded(answer, CODINGS.gzipOne);
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
  gzip: coded('the answer gzipped, each event a member of its own', 'gzip'),
  'gzip-one': coded('the answer gzipped as one member, flushed after each event', 'gzipOne'),
  br: coded('the answer in Brotli', 'br'),
  zstd: coded('the answer in Zstandard', 'zstd'),
  deflate: coded('the answer in deflate', 'deflate'),
  'gzip-cut': {
    about: 'FIN after ARG bytes of the gzipped answer, by default half of them',
    on: 'both',
    harm: 'after',
    arg: 'bytes',
    answer: (answer, fault) => halfCoded(answer, fault, 'fin'),
  },
  'gzip-truncated': {
    about: 'the gzipped data end after ARG bytes, by default half of them, though HTTP ends properly',
    on: 'both',
    harm: 'after',
    arg: 'bytes',
    answer: (answer, fault) => halfCoded(answer, fault, 'end'),
  },
  'gzip-corrupt': { about: 'a wrong byte in the middle of the gzipped data', on: 'both', harm: 'after', answer: corrupted },
  'gzip-false': {
    about: 'content-encoding: gzip, and the body is not',
    on: 'both',
    harm: 'before',
    answer: (answer) => headed(answer, { 'content-encoding': 'gzip' }),
  },
  'gzip-unnamed': {
    about: 'the answer gzipped, and no header says so',
    on: 'both',
    harm: 'before',
    answer: (answer) => headed(encoded(answer, CODINGS.gzip), { 'content-encoding': undefined }),
  },
  'encoding-unknown': {
    about: 'a content-encoding that nobody knows',
    on: 'both',
    harm: 'before',
    answer: (answer) => headed(answer, { 'content-encoding': 'x-storm' }),
  },
  'encoding-identity': {
    about: 'content-encoding: identity',
    on: 'both',
    harm: 'none',
    answer: (answer) => headed(answer, { 'content-encoding': 'identity' }),
  },
  'encoding-two': {
    about: 'a plain body in two codings, gzip and then Brotli; a stream in gzip alone',
    on: 'both',
    harm: 'none',
    answer(answer) {
      if (answer.streamed) return encoded(answer, CODINGS.gzip);
      return rebodied(headed(answer, { 'content-encoding': 'gzip, br' }), (body) => brotliCompressSync(gzipSync(body)));
    },
  },
};
