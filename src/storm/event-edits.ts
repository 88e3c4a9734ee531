/** Edits to the JSON of stream events and non-streaming bodies. */
import type { ResponseScript, Step } from './response-script.ts';
import { withBodyBytes } from './script-edits.ts';
import type { EventPart } from './dialect.ts';

/** The JSON of an event. */
export type Chunk = Record<string, unknown>;

/** A replacement event; without `part` it keeps the part of the original. */
export interface EventEdit {
  chunk: Chunk;
  part?: EventPart;
}

/** Length of the text before an event's JSON: the event name, if any, and `data: `. 0 if it contains no JSON object. */
export function jsonStart(text: string): number {
  return /^(?:event: [^\n]*\n)?data: (?=\{)/.exec(text)?.[0].length ?? 0;
}

/** Parses a server-sent event as Storm writes it; undefined for the terminator and other framings. */
export function readEvent(step: Step): Chunk | undefined {
  if (step.do !== 'send' || typeof step.bytes !== 'string') return undefined;
  const start = jsonStart(step.bytes);
  return start === 0 ? undefined : (JSON.parse(step.bytes.slice(start)) as Chunk);
}

/** Formats an event as Storm does. */
export function toEvent(chunk: Chunk): string {
  return `data: ${JSON.stringify(chunk)}\n\n`;
}

/**
 * Replaces each event of a stream with none, one or several. `index` counts the events of the same part. Non-streaming
 * responses are returned unchanged.
 */
export function withEvents(script: ResponseScript, change: (chunk: Chunk, part: EventPart, index: number) => EventEdit[]): ResponseScript {
  if (!script.streamed) return script;
  const counts = new Map<string, number>();
  const steps = script.steps.flatMap((step): Step[] => {
    const chunk = readEvent(step);
    if (chunk === undefined || step.do !== 'send' || step.part === 'body') return [step];
    const { part } = step;
    const index = counts.get(part) ?? 0;
    counts.set(part, index + 1);
    const text = String(step.bytes);
    const head = text.slice(0, jsonStart(text));
    return change(chunk, part, index).map((edit) => ({
      do: 'send',
      part: edit.part ?? part,
      bytes: `${head}${JSON.stringify(edit.chunk)}\n\n`,
    }));
  });
  return { ...script, steps };
}

/** Changes the JSON of a non-streaming body. Streams and bodies other than JSON are returned unchanged. */
export function withBody(script: ResponseScript, change: (body: Chunk) => unknown): ResponseScript {
  if (script.streamed || script.headers['content-type']?.startsWith('application/json') !== true) return script;
  return withBodyBytes(script, (body) => Buffer.from(JSON.stringify(change(JSON.parse(body.toString()) as Chunk))));
}

/** The choices of an event or a body. */
export function choicesOf(chunk: Chunk): Chunk[] {
  const { choices } = chunk;
  return Array.isArray(choices) ? (choices as Chunk[]) : [];
}

/** An event with `change` applied to each choice. */
export function withChoices(chunk: Chunk, change: (choice: Chunk) => Chunk): Chunk {
  return Array.isArray(chunk['choices']) ? { ...chunk, choices: choicesOf(chunk).map(change) } : chunk;
}

/** An event with fields added to each delta. Legacy completions have no delta and are returned unchanged. */
export function withDelta(chunk: Chunk, fields: Chunk): Chunk {
  return withChoices(chunk, (choice) => ('delta' in choice ? { ...choice, delta: { ...(choice['delta'] as Chunk), ...fields } } : choice));
}

/** A copy of a chunk without the named fields. */
export function omitting(chunk: Chunk, ...names: string[]): Chunk {
  return Object.fromEntries(Object.entries(chunk).filter(([name]) => !names.includes(name)));
}

/** The first event of a stream as a template: its ids and model, without choices. */
export function patternOf(script: ResponseScript): Chunk {
  for (const step of script.steps) {
    const chunk = readEvent(step);
    if (chunk !== undefined) return { ...omitting(chunk, 'usage'), choices: [] };
  }
  return { object: 'chat.completion.chunk', choices: [] };
}
