/** The lines of a requests file, and what is wrong with one that can't be replayed. */
import { createReadStream } from 'node:fs';
import { SCHEDULING_CLASSES, type SchedulingClass } from '../../core/request.ts';
import type { RequestRecord } from '../../telemetry/request-log.ts';

/** A record is a few kilobytes. What is longer is cut, and is no record then. */
const LINE_LENGTH_MAX = 1_000_000;
const QUOTED_MAX = 60;
const VERSION: RequestRecord['v'] = 1;

interface Field {
  readonly words: string;
  readonly isSo: (value: unknown) => boolean;
}

const TEXT: Field = { words: 'a text', isSo: (value) => typeof value === 'string' };
const NUMBER: Field = { words: 'a number', isSo: (value) => typeof value === 'number' && Number.isFinite(value) && value >= 0 };
const NUMBER_IF_ANY: Field = { words: 'a number or null', isSo: (value) => value == null || NUMBER.isSo(value) };

/** What a replay needs to be as docs/requests-file.md says; the rest is not looked at. */
const FIELDS: Readonly<Record<string, Field>> = {
  at: NUMBER,
  operation: TEXT,
  model: TEXT,
  client: TEXT,
  outcome: TEXT,
  durationMs: NUMBER,
  priority: {
    words: SCHEDULING_CLASSES.join(', '),
    isSo: (value) => value == null || SCHEDULING_CLASSES.includes(value as SchedulingClass),
  },
  deadlineMs: NUMBER_IF_ANY,
  inputTokens: NUMBER_IF_ANY,
  outputBound: NUMBER_IF_ANY,
  usage: { words: 'null or an object with inputTokens and outputTokens', isSo: isUsageIfAny },
  attempts: {
    words: 'a list of objects with target, durationMs and usage',
    isSo: (value) => value === undefined || (Array.isArray(value) && value.every(isAttempt)),
  },
};

function isUsageIfAny(value: unknown): boolean {
  return value == null || (isObject(value) && NUMBER.isSo(value['inputTokens']) && NUMBER.isSo(value['outputTokens']));
}

function isAttempt(value: unknown): boolean {
  return (
    isObject(value) &&
    TEXT.isSo(value['target']) &&
    NUMBER.isSo(value['durationMs']) &&
    NUMBER_IF_ANY.isSo(value['firstContentMs']) &&
    isUsageIfAny(value['usage'])
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What is used of a record. */
export type RecordLine = Pick<RequestRecord, 'at' | 'model' | 'client' | 'operation' | 'outcome' | 'durationMs'> & Partial<RequestRecord>;

/** One after the other, whatever the size of the file. */
export async function* linesOf(path: string): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of createReadStream(path, 'utf8')) {
    const [first = '', ...lines] = (chunk as string).split('\n');
    if (rest.length < LINE_LENGTH_MAX) rest += first;
    for (const line of lines) {
      yield rest;
      rest = line;
    }
  }
  yield rest;
}

/** The record of a line, or in words why it is none. */
export function readLine(text: string): RecordLine | string {
  const record = parse(text);
  if (record === null) return `no JSON object (got ${quote(text)})`;
  return faultOf(record) ?? (record as unknown as RecordLine);
}

function parse(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(line);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

/** What makes a record unfit to be replayed; null: nothing. */
function faultOf(record: Record<string, unknown>): string | null {
  const { v } = record;
  if (v !== undefined && v !== VERSION) return `a record of version ${quote(JSON.stringify(v))}; this Breakwater knows version ${VERSION}`;
  for (const [field, { words, isSo }] of Object.entries(FIELDS)) {
    const value = record[field];
    if (!isSo(value)) return `\`${field}\` must be ${words} (got ${value === undefined ? 'nothing' : quote(JSON.stringify(value))})`;
  }
  return null;
}

function quote(text: string): string {
  return text.length <= QUOTED_MAX ? text : `${text.slice(0, QUOTED_MAX)}…`;
}
