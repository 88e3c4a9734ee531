/** Parses and validates the lines of a request log. */
import { createReadStream } from 'node:fs';
import { isRecord, parseOrUndefined } from '../../core/json.ts';
import { SCHEDULING_CLASSES, type SchedulingClass } from '../../core/request.ts';
import type { RequestRecord } from '../../telemetry/request-log.ts';

/** A record is a few kilobytes. A longer line is truncated and therefore invalid. */
const LINE_LENGTH_MAX = 1_000_000;
const QUOTED_MAX = 60;
const VERSION: RequestRecord['v'] = 1;

interface Field {
  readonly words: string;
  readonly isSo: (value: unknown) => boolean;
}

const TEXT: Field = { words: 'a string', isSo: (value) => typeof value === 'string' };
const NUMBER: Field = { words: 'a number', isSo: (value) => typeof value === 'number' && Number.isFinite(value) && value >= 0 };
const NUMBER_IF_ANY: Field = { words: 'a number or null', isSo: (value) => value == null || NUMBER.isSo(value) };

/** The fields that a replay requires, as described in docs/requests-file.md; others are not validated. */
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
  return value == null || (isRecord(value) && NUMBER.isSo(value['inputTokens']) && NUMBER.isSo(value['outputTokens']));
}

function isAttempt(value: unknown): boolean {
  return (
    isRecord(value) &&
    TEXT.isSo(value['target']) &&
    NUMBER.isSo(value['durationMs']) &&
    NUMBER_IF_ANY.isSo(value['firstContentMs']) &&
    isUsageIfAny(value['usage'])
  );
}

/** The fields of a record that are used. */
export type RecordLine = Pick<RequestRecord, 'at' | 'model' | 'client' | 'operation' | 'outcome' | 'durationMs'> & Partial<RequestRecord>;

/** Reads lines one at a time, whatever the size of the file. */
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

/** Parses a line into a record, or returns why it is invalid. */
export function readLine(text: string): RecordLine | string {
  const record = parseOrUndefined(text);
  if (!isRecord(record)) return `not a JSON object (got ${quote(text)})`;
  return faultOf(record) ?? (record as unknown as RecordLine);
}

/** Why a record cannot be replayed; null if it can. */
function faultOf(record: Record<string, unknown>): string | null {
  const { v } = record;
  if (v !== undefined && v !== VERSION)
    return `a record of version ${quote(JSON.stringify(v))}; this Breakwater supports version ${VERSION}`;
  for (const [field, { words, isSo }] of Object.entries(FIELDS)) {
    const value = record[field];
    if (!isSo(value)) return `\`${field}\` must be ${words} (got ${value === undefined ? 'nothing' : quote(JSON.stringify(value))})`;
  }
  return null;
}

function quote(text: string): string {
  return text.length <= QUOTED_MAX ? text : `${text.slice(0, QUOTED_MAX)}…`;
}
