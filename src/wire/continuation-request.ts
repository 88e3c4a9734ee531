/** A request that asks a target to continue a partial response: the original bytes, plus the text so far as the last assistant turn. */
import { Buffer } from 'node:buffer';
import { isRecord } from '../core/json.ts';
import { asBuffer } from './bytes.ts';
import { encodeRequest } from './edit-request.ts';
import { scanObject } from './json-scan.ts';
import { kindOf, parseMember, readCount, readString } from './json-values.ts';
import type { DialectName } from './model.ts';
import type { BodyMember, RequestBody } from './request-body.ts';

/** Larger requests are not continued: rewriting them would block the event loop. */
const BYTES_MAX = 1024 * 1024;
const VALUES_MAX = 100_000;

interface Form {
  /** The member that lists the turns. */
  readonly turns: string;
  turn(text: string): object;
  /** The output limits, reduced by the tokens spent; null: a limit is used up. */
  bounds(body: RequestBody, spentTokens: number): Record<string, unknown> | null;
}

const FORMS: Readonly<Partial<Record<DialectName, Form>>> = {
  'openai-chat': {
    turns: 'messages',
    turn: (text) => ({ role: 'assistant', content: text }),
    bounds: (body, spent) => countsLeft(body, ['max_tokens', 'max_completion_tokens'], spent),
  },
  'anthropic-messages': {
    turns: 'messages',
    turn: (text) => ({ role: 'assistant', content: text }),
    bounds: (body, spent) => countsLeft(body, ['max_tokens'], spent),
  },
  gemini: { turns: 'contents', turn: (text) => ({ role: 'model', parts: [{ text }] }), bounds: configLeft },
};

/** True for dialects whose requests may end with a partial response. */
export function supportsContinuation(dialect: DialectName): boolean {
  return FORMS[dialect] !== undefined;
}

/** Null: the request can't be continued: it is too large, an output limit is used up, or it already ends with a partial response. */
export function encodeContinuation(
  dialect: DialectName,
  body: RequestBody,
  model: string,
  text: string,
  spentTokens: number,
): RequestBody | null {
  const form = FORMS[dialect];
  if (form === undefined || body.bytes.byteLength > BYTES_MAX || body.values > VALUES_MAX) return null;
  const set = form.bounds(body, spentTokens);
  if (set === null) return null;
  const bounded = rescan(encodeRequest(body, { model, set }), body.contentType);
  return bounded === null ? null : withTurn(bounded, form, text);
}

function countsLeft(body: RequestBody, names: readonly string[], spent: number): Record<string, number> | null {
  const left: Record<string, number> = {};
  for (const name of names) {
    const member = last(body, name);
    const bound = member === undefined ? null : readCount(body.bytes, member);
    if (bound === null) continue;
    if (bound <= spent) return null;
    left[name] = bound - spent;
  }
  return left;
}

function configLeft(body: RequestBody, spent: number): Record<string, unknown> | null {
  for (const name of ['generationConfig', 'generation_config']) {
    const member = last(body, name);
    const config = member === undefined ? null : parseMember(body.bytes, member);
    if (!isRecord(config)) continue;
    const key = 'maxOutputTokens' in config ? 'maxOutputTokens' : 'max_output_tokens';
    const bound = config[key];
    if (typeof bound !== 'number') continue;
    return bound <= spent ? null : { [name]: { ...config, [key]: bound - spent } };
  }
  return {};
}

function withTurn(body: RequestBody, form: Form, text: string): RequestBody | null {
  const member = last(body, form.turns);
  if (member === undefined || kindOf(body.bytes, member) !== 'array' || member.items === 0) return null;
  if (endsWithModel(body.bytes, member)) return null;
  const at = asBuffer(body.bytes).lastIndexOf(0x5d, member.end - 1);
  const turn = Buffer.from(`,${JSON.stringify(form.turn(text))}`);
  return rescan(Buffer.concat([body.bytes.subarray(0, at), turn, body.bytes.subarray(at)]), body.contentType);
}

function endsWithModel(bytes: Uint8Array, { lastItem, end }: BodyMember): boolean {
  const turn = bytes.subarray(lastItem, end - 1);
  const scan = scanObject(turn);
  const member = scan.ok ? scan.members.findLast(({ name }) => name === 'role') : undefined;
  const role = member === undefined ? null : readString(turn, member);
  return role === 'assistant' || role === 'model';
}

function last(body: RequestBody, name: string): BodyMember | undefined {
  return body.members.findLast((member) => member.name === name);
}

function rescan(bytes: Uint8Array, contentType: string | null): RequestBody | null {
  const scan = scanObject(bytes);
  return scan.ok ? { bytes, members: scan.members, values: scan.values, contentType, passed: null } : null;
}
