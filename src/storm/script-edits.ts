/** Edits to a response script, from which faults are composed. JSON edits are in `event-edits.ts`, byte edits in `byte-edits.ts`. */
import type { ResponseScript, Step } from './response-script.ts';
import type { Dialect, EventPart, Failure } from './dialect.ts';
import { SSE } from './framings.ts';
import type { EventText } from './framings.ts';
import type { StormFault } from './options.ts';

/** A wait of the fault's `ms`, or a hang if it has none. */
export function pause(fault: StormFault): Step[] {
  return fault.ms === undefined ? [{ do: 'hang' }] : [{ do: 'wait', ms: fault.ms }];
}

/** Index at which a stream breaks: after `afterTokens` content events, by default half of them. */
export function breakIndex(script: ResponseScript, fault: StormFault): number {
  const contents = script.steps.flatMap((step, index) => (step.do === 'send' && step.part === 'content' ? [index] : []));
  const after = Math.min(contents.length, fault.afterTokens ?? Math.ceil(contents.length / 2));
  return after > 0 ? contents[after - 1]! + 1 : contentIndex(script);
}

/** Replaces everything from the break; `after` receives the steps that it replaces. */
export function breakAt(script: ResponseScript, fault: StormFault, after: (rest: Step[]) => Step[]): ResponseScript {
  if (script.streamed) {
    const at = breakIndex(script, fault);
    return { ...script, steps: [...script.steps.slice(0, at), ...after(script.steps.slice(at))] };
  }
  const body = bodyOf(script);
  const half = Math.floor(body.length / 2);
  const send = (bytes: Buffer): Step => ({ do: 'send', part: 'body', bytes });
  const before = script.steps.slice(0, -1);
  return { ...script, steps: [...before, send(body.subarray(0, half)), ...after([send(body.subarray(half))])] };
}

/** The body of a non-streaming response. */
export function bodyOf(script: ResponseScript): Buffer {
  const last = script.steps.at(-1);
  if (last?.do !== 'send') return Buffer.alloc(0);
  return typeof last.bytes === 'string' ? Buffer.from(last.bytes) : last.bytes;
}

/** A non-streaming response with its body replaced. Streams are returned unchanged. */
export function withBodyBytes(script: ResponseScript, change: (body: Buffer) => Buffer): ResponseScript {
  const body = change(bodyOf(script));
  return {
    ...script,
    headers: { ...script.headers, 'content-length': String(body.length) },
    steps: [...script.steps.slice(0, -1), { do: 'send', part: 'body', bytes: body }],
  };
}

/** Applies `change` to the text of every send. */
export function mapText(script: ResponseScript, change: (text: string) => string): ResponseScript {
  const steps = script.steps.map((step) => ('bytes' in step ? { ...step, bytes: change(String(step.bytes)) } : step));
  return { ...script, steps };
}

/** Removes the stream events of the given parts. */
export function withoutParts(script: ResponseScript, parts: readonly string[]): ResponseScript {
  if (!script.streamed) return script;
  return { ...script, steps: script.steps.filter((step) => step.do !== 'send' || !parts.includes(step.part)) };
}

/** Index of a stream's first content event. */
export function contentIndex(script: ResponseScript): number {
  const at = script.steps.findIndex((step) => step.do === 'send' && step.part !== 'preamble');
  return at === -1 ? script.steps.length : at;
}

/** Index at which a stream starts to close: its first finish, usage or done event. */
export function closingIndex(script: ResponseScript): number {
  const at = script.steps.findIndex((step) => step.do === 'send' && step.part !== 'preamble' && step.part !== 'content');
  return at === -1 ? script.steps.length : at;
}

/** Inserts steps into a stream. Non-streaming responses are returned unchanged. */
export function insertAt(script: ResponseScript, index: number, ...steps: Step[]): ResponseScript {
  return script.streamed ? { ...script, steps: script.steps.toSpliced(index, 0, ...steps) } : script;
}

/** Truncates a stream at an index and appends steps. Non-streaming responses are returned unchanged. */
export function endAt(script: ResponseScript, index: number, ...steps: Step[]): ResponseScript {
  return script.streamed ? { ...script, steps: [...script.steps.slice(0, index), ...steps] } : script;
}

/** Appends steps to a stream. Non-streaming responses are returned unchanged. */
export function append(script: ResponseScript, ...steps: Step[]): ResponseScript {
  return insertAt(script, script.steps.length, ...steps);
}

/** A step that sends bytes as part of a stream. */
export function sendStep(bytes: string | Buffer, part: EventPart = 'content'): Step {
  return { do: 'send', part, bytes };
}

/** Truncates a stream at an index and ends it with one more event in its framing. `toEvent` receives the number of events before it. */
export function endWithEvent(script: ResponseScript, at: number, toEvent: (sent: number) => EventText): ResponseScript {
  if (!script.streamed) return script;
  const before = script.steps.slice(0, at);
  const framing = script.framing ?? SSE;
  const sent = before.filter((step) => step.do === 'send').length;
  const steps: Step[] = [...before, sendStep(framing.frame(toEvent(sent), sent), 'finish')];
  if (framing.end !== '') steps.push(sendStep(framing.end, 'done'));
  return { ...script, steps };
}

/** Truncates a stream at an index and ends it with an error event of the dialect. */
export function endWithError(script: ResponseScript, at: number, dialect: Dialect, failure: Failure): ResponseScript {
  return endWithEvent(script, at, (sent) => dialect.failureEvent(failure, sent));
}

/** The events that terminate a stream in its dialect. Empty if the end of the body is the only terminator. */
export function terminators(script: ResponseScript): Step[] {
  return script.steps.filter((step) => step.do === 'send' && step.part === 'done');
}

/** Sets headers; those set to undefined are removed. */
export function setHeaders(script: ResponseScript, headers: Readonly<Record<string, string | undefined>>): ResponseScript {
  const all = { ...script.headers, ...headers };
  return {
    ...script,
    headers: Object.fromEntries(Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined)),
  };
}
