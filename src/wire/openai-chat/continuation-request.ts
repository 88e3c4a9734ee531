import { Buffer } from 'node:buffer';
import { asBuffer } from '../bytes.ts';
import { scanObject } from '../json-scan.ts';
import { kindOf, readCount, readString } from '../json-values.ts';
import type { BodyMember, RequestBody } from '../request-body.ts';
import { encodeRequest } from '../edit-request.ts';

/** Larger requests are not continued: writing them anew would hold up all others. */
const BYTES_MAX = 1024 * 1024;
const VALUES_MAX = 100_000;

const BOUNDS = ['max_tokens', 'max_completion_tokens'] as const;

/**
 * The request again, with the answer so far as its last message and its token bounds less what was spent; every other byte
 * as it came. Null where that makes no request: several choices, nothing left of a bound, or a last message that is
 * already a partial answer of the caller's.
 */
export function encodeContinuation(body: RequestBody, model: string, text: string, spentTokens: number): RequestBody | null {
  if (body.bytes.byteLength > BYTES_MAX || body.values > VALUES_MAX) return null;
  const choices = last(body, 'n');
  if (choices !== undefined && (readCount(body.bytes, choices) ?? 1) !== 1) return null;
  const set: Record<string, number> = {};
  for (const name of BOUNDS) {
    const member = last(body, name);
    const bound = member === undefined ? null : readCount(body.bytes, member);
    if (bound === null) continue;
    if (bound <= spentTokens) return null;
    set[name] = bound - spentTokens;
  }
  const bounded = rescan(encodeRequest(body, { model, set }), body.contentType);
  return bounded === null ? null : withMessage(bounded, text);
}

function withMessage(body: RequestBody, text: string): RequestBody | null {
  const member = last(body, 'messages');
  if (member === undefined) return null;
  if (kindOf(body.bytes, member) !== 'array' || member.items === 0 || endsWithAssistant(body.bytes, member)) return null;
  const at = asBuffer(body.bytes).lastIndexOf(0x5d, member.end - 1);
  const message = Buffer.from(`,${JSON.stringify({ role: 'assistant', content: text })}`);
  return rescan(Buffer.concat([body.bytes.subarray(0, at), message, body.bytes.subarray(at)]), body.contentType);
}

function endsWithAssistant(bytes: Uint8Array, { lastItem, end }: BodyMember): boolean {
  const message = bytes.subarray(lastItem, end - 1);
  const scan = scanObject(message);
  const role = scan.ok ? scan.members.findLast(({ name }) => name === 'role') : undefined;
  return role !== undefined && readString(message, role) === 'assistant';
}

function last(body: RequestBody, name: string): BodyMember | undefined {
  return body.members.findLast((member) => member.name === name);
}

function rescan(bytes: Uint8Array, contentType: string | null): RequestBody | null {
  const scan = scanObject(bytes);
  return scan.ok ? { bytes, members: scan.members, values: scan.values, contentType, passed: null } : null;
}
