/** Changes to the JSON of a stream's events and of plain bodies. */
import type { Answer, Step } from './answer.ts';
import { rebodied } from './answer-edits.ts';
import type { EventPart } from './dialect.ts';

/** The JSON of an event. */
export type Chunk = Record<string, unknown>;

/** An event that a change makes; without `part` it keeps the place of the one that it came from. */
export interface Said {
  chunk: Chunk;
  part?: EventPart;
}

/** Length of what stands before an event's JSON: its name, if it has one, and `data: `. 0 where it holds no JSON object. */
export function jsonStart(text: string): number {
  return /^(?:event: [^\n]*\n)?data: (?=\{)/.exec(text)?.[0].length ?? 0;
}

/** Reads the JSON of a server-sent event as Storm writes it; undefined for the terminator and for other framings. */
export function readEvent(step: Step): Chunk | undefined {
  if (step.do !== 'send' || typeof step.bytes !== 'string') return undefined;
  const start = jsonStart(step.bytes);
  return start === 0 ? undefined : (JSON.parse(step.bytes.slice(start)) as Chunk);
}

/** Writes an event as Storm does. */
export function toEvent(chunk: Chunk): string {
  return `data: ${JSON.stringify(chunk)}\n\n`;
}

/** Each event of a stream changed into none, one or several. `index` counts the events of its part. A plain answer stays. */
export function withEvents(answer: Answer, change: (chunk: Chunk, part: EventPart, index: number) => Said[]): Answer {
  if (!answer.streamed) return answer;
  const counts = new Map<string, number>();
  const steps = answer.steps.flatMap((step): Step[] => {
    const chunk = readEvent(step);
    if (chunk === undefined || step.do !== 'send' || step.part === 'body') return [step];
    const { part } = step;
    const index = counts.get(part) ?? 0;
    counts.set(part, index + 1);
    const text = String(step.bytes);
    const head = text.slice(0, jsonStart(text));
    return change(chunk, part, index).map((said) => ({
      do: 'send',
      part: said.part ?? part,
      bytes: `${head}${JSON.stringify(said.chunk)}\n\n`,
    }));
  });
  return { ...answer, steps };
}

/** The JSON of a plain body changed; a stream stays, and what is no JSON too. */
export function withBody(answer: Answer, change: (body: Chunk) => unknown): Answer {
  if (answer.streamed || answer.headers['content-type']?.startsWith('application/json') !== true) return answer;
  return rebodied(answer, (body) => Buffer.from(JSON.stringify(change(JSON.parse(body.toString()) as Chunk))));
}

/** The choices of an event or a body. */
export function choicesOf(chunk: Chunk): Chunk[] {
  const { choices } = chunk;
  return Array.isArray(choices) ? (choices as Chunk[]) : [];
}

/** An event with each of its choices changed. */
export function withChoices(chunk: Chunk, change: (choice: Chunk) => Chunk): Chunk {
  return Array.isArray(chunk['choices']) ? { ...chunk, choices: choicesOf(chunk).map(change) } : chunk;
}

/** An event with other fields in each delta. A legacy completion has none and stays. */
export function withDelta(chunk: Chunk, fields: Chunk): Chunk {
  return withChoices(chunk, (choice) => ('delta' in choice ? { ...choice, delta: { ...(choice['delta'] as Chunk), ...fields } } : choice));
}

/** A chunk without some of its fields. */
export function omitting(chunk: Chunk, ...names: string[]): Chunk {
  return Object.fromEntries(Object.entries(chunk).filter(([name]) => !names.includes(name)));
}

/** The first event of a stream, as a pattern for others: its ids, its model, and no choices. */
export function patternOf(answer: Answer): Chunk {
  for (const step of answer.steps) {
    const chunk = readEvent(step);
    if (chunk !== undefined) return { ...omitting(chunk, 'usage'), choices: [] };
  }
  return { object: 'chat.completion.chunk', choices: [] };
}
