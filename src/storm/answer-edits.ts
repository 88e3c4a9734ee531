/** Changes to the program of an answer that the faults are made of. */
import { gzipSync } from 'node:zlib';
import type { Answer, Step } from './answer.ts';
import type { StormFault } from './options.ts';

/** Whether an answer is a stream; a plain one has a length. */
export function isStream(answer: Answer): boolean {
  return answer.headers['content-length'] === undefined;
}

/** A silence as long as the fault asks, or for ever. */
export function pause(fault: StormFault): Step[] {
  return fault.ms === undefined ? [{ do: 'hang' }] : [{ do: 'wait', ms: fault.ms }];
}

/** Where a stream breaks: after so many content events, by default half of them. */
export function breakIndex(answer: Answer, fault: StormFault): number {
  const contents = answer.steps.flatMap((step, index) => (step.do === 'send' && step.part === 'content' ? [index] : []));
  const after = Math.min(contents.length, fault.afterTokens ?? Math.ceil(contents.length / 2));
  if (after > 0) return contents[after - 1]! + 1;
  return answer.steps.findIndex((step) => step.do === 'send' && step.part !== 'preamble');
}

/** Replaces what follows the break; `after` gets what would have followed. */
export function breakAt(answer: Answer, fault: StormFault, after: (rest: Step[]) => Step[]): Answer {
  if (isStream(answer)) {
    const at = breakIndex(answer, fault);
    return { ...answer, steps: [...answer.steps.slice(0, at), ...after(answer.steps.slice(at))] };
  }
  const body = bodyOf(answer);
  const half = Math.floor(body.length / 2);
  const send = (bytes: Buffer): Step => ({ do: 'send', part: 'body', bytes });
  const before = answer.steps.slice(0, -1);
  return { ...answer, steps: [...before, send(body.subarray(0, half)), ...after([send(body.subarray(half))])] };
}

function bodyOf(answer: Answer): Buffer {
  const last = answer.steps.at(-1);
  if (last?.do !== 'send') return Buffer.alloc(0);
  return typeof last.bytes === 'string' ? Buffer.from(last.bytes) : last.bytes;
}

/** A plain answer with another body. */
export function rebodied(answer: Answer, change: (body: Buffer) => Buffer): Answer {
  const body = change(bodyOf(answer));
  return {
    ...answer,
    headers: { ...answer.headers, 'content-length': String(body.length) },
    steps: [...answer.steps.slice(0, -1), { do: 'send', part: 'body', bytes: body }],
  };
}

/** Every text sent, changed. */
export function mapped(answer: Answer, change: (text: string) => string): Answer {
  return { ...answer, steps: answer.steps.map((step) => (step.do === 'send' ? { ...step, bytes: change(String(step.bytes)) } : step)) };
}

/** How many sends come before a step. */
export function sendsBefore(answer: Answer, index: number): number {
  return answer.steps.slice(0, index).filter((step) => step.do === 'send').length;
}

/** A stream without some of its parts. */
export function without(answer: Answer, parts: readonly string[]): Answer {
  if (!isStream(answer)) return answer;
  return { ...answer, steps: answer.steps.filter((step) => step.do !== 'send' || !parts.includes(step.part)) };
}

/** Each send in pieces of `size` bytes (events stay whole when larger sizes are asked), each after `ms`. */
export function chopped(answer: Answer, size: number, ms: number): Answer {
  const whole = size > 1 && isStream(answer);
  const steps = answer.steps.flatMap((step): Step[] => {
    if (step.do !== 'send') return [step];
    const bytes = Buffer.from(step.bytes as string);
    const pieces = whole
      ? [bytes]
      : Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) => bytes.subarray(at * size, (at + 1) * size));
    const gap: Step = ms > 0 ? { do: 'wait', ms } : { do: 'turn' };
    return pieces.flatMap((piece): Step[] => [gap, { do: 'send', part: 'body', bytes: piece }]);
  });
  return { ...answer, steps };
}

/** Each event is a gzip member of its own: one after the other they are a valid gzip stream (RFC 1952, 2.2). */
export function gzipped(answer: Answer): Answer {
  const headers = { ...answer.headers, 'content-encoding': 'gzip' };
  if (!isStream(answer)) return rebodied({ ...answer, headers }, (body) => gzipSync(body));
  const steps = answer.steps.map((step): Step => (step.do === 'send' ? { ...step, part: 'body', bytes: gzipSync(step.bytes) } : step));
  return { ...answer, headers, steps };
}
