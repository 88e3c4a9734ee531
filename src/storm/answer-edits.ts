/** Changes to the program of an answer that the faults are made of. What needs JSON is in `event-edits.ts`, bytes in `byte-edits.ts`. */
import type { Answer, Step } from './answer.ts';
import type { Dialect, EventPart, Failure } from './dialect.ts';
import { SSE } from './framings.ts';
import type { EventText } from './framings.ts';
import type { StormFault } from './options.ts';

/** A silence as long as the fault asks, or for ever. */
export function pause(fault: StormFault): Step[] {
  return fault.ms === undefined ? [{ do: 'hang' }] : [{ do: 'wait', ms: fault.ms }];
}

/** Where a stream breaks: after so many content events, by default half of them. */
export function breakIndex(answer: Answer, fault: StormFault): number {
  const contents = answer.steps.flatMap((step, index) => (step.do === 'send' && step.part === 'content' ? [index] : []));
  const after = Math.min(contents.length, fault.afterTokens ?? Math.ceil(contents.length / 2));
  return after > 0 ? contents[after - 1]! + 1 : contentIndex(answer);
}

/** Replaces what follows the break; `after` gets what would have followed. */
export function breakAt(answer: Answer, fault: StormFault, after: (rest: Step[]) => Step[]): Answer {
  if (answer.streamed) {
    const at = breakIndex(answer, fault);
    return { ...answer, steps: [...answer.steps.slice(0, at), ...after(answer.steps.slice(at))] };
  }
  const body = bodyOf(answer);
  const half = Math.floor(body.length / 2);
  const send = (bytes: Buffer): Step => ({ do: 'send', part: 'body', bytes });
  const before = answer.steps.slice(0, -1);
  return { ...answer, steps: [...before, send(body.subarray(0, half)), ...after([send(body.subarray(half))])] };
}

/** The bytes of a plain answer. */
export function bodyOf(answer: Answer): Buffer {
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
  const steps = answer.steps.map((step) => ('bytes' in step ? { ...step, bytes: change(String(step.bytes)) } : step));
  return { ...answer, steps };
}

/** A stream without some of its parts. */
export function without(answer: Answer, parts: readonly string[]): Answer {
  if (!answer.streamed) return answer;
  return { ...answer, steps: answer.steps.filter((step) => step.do !== 'send' || !parts.includes(step.part)) };
}

/** Where a stream's content begins. */
export function contentIndex(answer: Answer): number {
  const at = answer.steps.findIndex((step) => step.do === 'send' && step.part !== 'preamble');
  return at === -1 ? answer.steps.length : at;
}

/** Where the closing of a stream begins: its first finish, usage or terminator. */
export function closingIndex(answer: Answer): number {
  const at = answer.steps.findIndex((step) => step.do === 'send' && step.part !== 'preamble' && step.part !== 'content');
  return at === -1 ? answer.steps.length : at;
}

/** A stream with further steps at an index; a plain answer as it is. */
export function inserted(answer: Answer, index: number, ...steps: Step[]): Answer {
  return answer.streamed ? { ...answer, steps: answer.steps.toSpliced(index, 0, ...steps) } : answer;
}

/** A stream that breaks off at an index and goes on with other steps; a plain answer as it is. */
export function endedAt(answer: Answer, index: number, ...steps: Step[]): Answer {
  return answer.streamed ? { ...answer, steps: [...answer.steps.slice(0, index), ...steps] } : answer;
}

/** A stream with further steps at its end; a plain answer as it is. */
export function appended(answer: Answer, ...steps: Step[]): Answer {
  return inserted(answer, answer.steps.length, ...steps);
}

/** A step that sends an event, or anything else, in a stream. */
export function say(bytes: string | Buffer, part: EventPart = 'content'): Step {
  return { do: 'send', part, bytes };
}

/** A stream that ends at an index with one more event, in the framing of the stream. `toEvent` gets the number of events before it. */
export function closedBy(answer: Answer, at: number, toEvent: (sent: number) => EventText): Answer {
  if (!answer.streamed) return answer;
  const before = answer.steps.slice(0, at);
  const framing = answer.framing ?? SSE;
  const sent = before.filter((step) => step.do === 'send').length;
  const steps: Step[] = [...before, say(framing.frame(toEvent(sent), sent), 'finish')];
  if (framing.end !== '') steps.push(say(framing.end, 'done'));
  return { ...answer, steps };
}

/** A stream that ends at an index with an error event of the dialect. */
export function failedAt(answer: Answer, at: number, dialect: Dialect, failure: Failure): Answer {
  return closedBy(answer, at, (sent) => dialect.failureEvent(failure, sent));
}

/** The events that end a stream by the rules of its dialect. Empty where the end of the body is the only end. */
export function terminators(answer: Answer): Step[] {
  return answer.steps.filter((step) => step.do === 'send' && step.part === 'done');
}

/** With other headers; those that are undefined are left out. */
export function headed(answer: Answer, headers: Readonly<Record<string, string | undefined>>): Answer {
  const all = { ...answer.headers, ...headers };
  return {
    ...answer,
    headers: Object.fromEntries(Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined)),
  };
}
