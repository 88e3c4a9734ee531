/** Edits to a script at the level of bytes: where it breaks and how it is split into writes. */
import type { Step } from './response-script.ts';

const toBuffer = (bytes: string | Buffer): Buffer => (typeof bytes === 'string' ? Buffer.from(bytes) : bytes);

/** Number of bytes that the steps send. */
export function lengthOf(steps: readonly Step[]): number {
  let sum = 0;
  for (const step of steps) if (step.do === 'send') sum += Buffer.byteLength(step.bytes);
  return sum;
}

/** The steps up to a byte offset, followed by other steps. */
export function cutAtByte(steps: readonly Step[], offset: number, ...rest: Step[]): Step[] {
  let left = Math.max(0, offset);
  const kept: Step[] = [];
  for (const step of steps) {
    if (step.do === 'send') {
      const bytes = toBuffer(step.bytes);
      if (bytes.length >= left) {
        if (left > 0) kept.push({ ...step, part: 'body', bytes: bytes.subarray(0, left) });
        return [...kept, ...rest];
      }
      left -= bytes.length;
    }
    kept.push(step);
  }
  return [...kept, ...rest];
}

/** Splits all sends into writes of `size` bytes, each in its own event-loop turn or after `ms`. A write never spans a wait. */
export function resize(steps: readonly Step[], size: number, ms = 0): Step[] {
  return rewritten(steps, (bytes) =>
    Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) => bytes.subarray(at * size, (at + 1) * size)),
  ).flatMap((step): Step[] => (step.do === 'send' ? [ms > 0 ? { do: 'wait', ms } : { do: 'turn' }, step] : [step]));
}

/** Splits the response into two writes at a byte offset. */
export function splitAtByte(steps: readonly Step[], offset: number): Step[] {
  let left = offset;
  return rewritten(steps, (bytes) => {
    const at = left;
    left -= bytes.length;
    return at > 0 && at < bytes.length ? [bytes.subarray(0, at), bytes.subarray(at)] : [bytes];
  }).flatMap((step): Step[] => (step.do === 'send' ? [{ do: 'turn' }, step] : [step]));
}

/** Joins adjacent sends and splits them again with `divide`. */
function rewritten(steps: readonly Step[], divide: (bytes: Buffer) => Buffer[]): Step[] {
  const result: Step[] = [];
  let held: Buffer[] = [];
  const flush = () => {
    for (const bytes of divide(Buffer.concat(held))) if (bytes.length > 0) result.push({ do: 'send', part: 'body', bytes });
    held = [];
  };
  for (const step of steps) {
    if (step.do === 'send') held.push(toBuffer(step.bytes));
    else {
      flush();
      result.push(step);
    }
  }
  flush();
  return result;
}

/** Joins everything from an index into one write without waits. */
export function inOneWrite(steps: readonly Step[]): Step[] {
  const sent = steps.flatMap((step) => (step.do === 'send' ? [toBuffer(step.bytes)] : []));
  const first = steps.findIndex((step) => step.do === 'send');
  if (first === -1) return [...steps];
  return [...steps.slice(0, first), { do: 'send', part: 'body', bytes: Buffer.concat(sent) }];
}
