import { Buffer } from 'node:buffer';
import { isRecord } from '../core/json.ts';
import { asBuffer } from './bytes.ts';
import { scanObject } from './json-scan.ts';
import { isNull, kindOf, readBoolean, readString } from './json-values.ts';
import type { RequestEdits } from './dialect.ts';
import type { Cut } from './opaque/opaque.ts';
import type { BodyMember, RequestBody } from './request-body.ts';

/**
 * The body for one target: the original bytes with these edits and no other change; the same `Uint8Array` if nothing changes. A repeated
 * name is edited at every occurrence. `model` in `set` or `drop` is ignored: the target's model name applies.
 */
export function encodeRequest(body: RequestBody, edits: RequestEdits): Uint8Array {
  return spliced(body, edits).apply();
}

/** The same, but a large body is returned in pieces, to avoid copying it. */
export function encodePieces(body: RequestBody, edits: RequestEdits): Uint8Array | readonly Uint8Array[] {
  const splices = spliced(body, edits);
  return body.bytes.byteLength > JOINED_BYTES_MAX ? splices.pieces() : splices.apply();
}

const JOINED_BYTES_MAX = 1024 * 1024;

function spliced(body: RequestBody, edits: RequestEdits): Splices {
  const splices = new Splices(body.bytes);
  const values = valuesToSet(edits);
  const drops = dropsOf(edits, values);
  const asksUsage = edits.askUsage === true && !values.has('stream_options') && !drops.has('stream_options');
  let usageAsked = false;
  let previous: BodyMember | null = null;
  let keepsAny = false;
  for (let i = 0; i < body.members.length; i++) {
    const member = body.members[i] as BodyMember;
    if (drops.has(member.name)) {
      // Also removes the preceding comma; in a leading run of dropped members, the following one.
      if (keepsAny && previous !== null) splices.add(previous.end, member.end, '');
      else splices.add(member.keyStart, body.members[i + 1]?.keyStart ?? member.end, '');
    } else {
      keepsAny = true;
      const name = edits.rename?.get(member.name);
      if (name !== undefined) splices.add(member.keyStart, member.start, `${JSON.stringify(name)}:`);
      const value = values.get(member.name);
      if (value !== undefined) splices.replace(member, value);
      else if (edits.cuts !== undefined && holdsCut(member, edits.cuts)) splices.cutWithin(member, edits.cuts);
      else if (member.name === 'model') replaceModel(splices, body.bytes, member, edits.model);
      else if (asksUsage && member.name === 'stream_options') {
        usageAsked = true;
        mergeUsage(splices, body.bytes, member);
      }
    }
    previous = member;
  }
  const added = addedMembers(body, values) + (asksUsage && !usageAsked ? USAGE_MEMBER : '');
  if (added !== '') splices.insert(insertionPoint(body), keepsAny ? added : added.slice(1));
  return splices;
}

function holdsCut(member: BodyMember, cuts: readonly Cut[]): boolean {
  return cuts.some(({ start }) => start > member.start && start < member.end);
}

/** The JSON texts of `set`; values that JSON can't represent are skipped. */
function valuesToSet(edits: RequestEdits): ReadonlyMap<string, string> {
  if (edits.set === undefined) return NO_VALUES;
  const { omit = NO_NAMES } = edits;
  const values = new Map<string, string>();
  for (const [name, value] of Object.entries(edits.set)) {
    const asked = name === 'stream_options' && edits.askUsage === true && isRecord(value) ? { ...value, include_usage: true } : value;
    const text = JSON.stringify(asked) as string | undefined;
    if (text !== undefined && name !== 'model' && !omit.includes(name)) values.set(name, text);
  }
  return values;
}

const NO_VALUES: ReadonlyMap<string, string> = new Map();
const NO_NAMES: readonly string[] = [];
const NO_DROPS: ReadonlySet<string> = new Set();

function dropsOf(edits: RequestEdits, values: ReadonlyMap<string, string>): ReadonlySet<string> {
  const { drop = NO_NAMES, omit = NO_NAMES } = edits;
  if (drop.length === 0 && omit.length === 0) return NO_DROPS;
  return new Set([...drop.filter((name) => name !== 'model' && !values.has(name)), ...omit]);
}

function replaceModel(splices: Splices, bytes: Uint8Array, member: BodyMember, model: string): void {
  if (readString(bytes, member) !== model) splices.replace(member, JSON.stringify(model));
}

/** Changes null and objects only; any other value is left for the provider to reject. */
function mergeUsage(splices: Splices, bytes: Uint8Array, options: BodyMember): void {
  if (kindOf(bytes, options) !== 'object') {
    if (isNull(bytes, options)) splices.replace(options, '{"include_usage":true}');
    return;
  }
  const scan = scanObject(bytes.subarray(options.start, options.end));
  if (!scan.ok) return;
  const found = scan.members.filter((member) => member.name === 'include_usage');
  for (const member of found) {
    const start = options.start + member.start;
    const moved = { ...member, start, end: options.start + member.end };
    if (readBoolean(bytes, moved) !== true) splices.replace(moved, 'true');
  }
  if (found.length > 0) return;
  const last = scan.members.at(-1);
  if (last === undefined) splices.insert(options.start + 1, '"include_usage":true');
  else splices.insert(options.start + last.end, ',"include_usage":true');
}

/** After the last member, dropped or not; in an empty object, after its brace. */
function insertionPoint(body: RequestBody): number {
  const last = body.members.at(-1);
  return last === undefined ? body.bytes.indexOf(0x7b) + 1 : last.end;
}

const USAGE_MEMBER = ',"stream_options":{"include_usage":true}';

/** Members of `set` that the body lacks, each preceded by a comma. */
function addedMembers(body: RequestBody, values: ReadonlyMap<string, string>): string {
  let text = '';
  for (const [name, value] of values) {
    if (!body.members.some((member) => member.name === name)) text += `,${JSON.stringify(name)}:${value}`;
  }
  return text;
}

interface Splice {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** Replacements, in order and not overlapping. Their text may be non-ASCII. */
class Splices {
  readonly #bytes: Uint8Array;
  readonly #list: Splice[] = [];

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  add(start: number, end: number, text: string): void {
    this.#list.push({ start, end, text });
  }

  insert(at: number, text: string): void {
    this.add(at, at, text);
  }

  /** Replaces the member's value, unless it is the same. */
  replace(member: BodyMember, text: string): void {
    const { start, end } = member;
    if (end - start === Buffer.byteLength(text) && asBuffer(this.#bytes).toString('utf8', start, end) === text) return;
    this.add(start, end, text);
  }

  cutWithin({ start, end }: BodyMember, cuts: readonly Cut[]): void {
    for (const cut of cuts) if (cut.start > start && cut.end < end) this.add(cut.start, cut.end, cut.text ?? '');
  }

  pieces(): Uint8Array | readonly Uint8Array[] {
    if (this.#list.length === 0) return this.#bytes;
    const pieces: Uint8Array[] = [];
    let from = 0;
    for (const { start, end, text } of this.#list) {
      pieces.push(this.#bytes.subarray(from, start), Buffer.from(text));
      from = end;
    }
    pieces.push(this.#bytes.subarray(from));
    return pieces.filter(({ length }) => length > 0);
  }

  apply(): Uint8Array {
    if (this.#list.length === 0) return this.#bytes;
    let length = this.#bytes.length;
    for (const { start, end, text } of this.#list) length += Buffer.byteLength(text) - (end - start);
    const source = asBuffer(this.#bytes);
    const result = Buffer.allocUnsafe(length);
    let from = 0;
    let to = 0;
    for (const { start, end, text } of this.#list) {
      to += source.copy(result, to, from, start);
      to += result.write(text, to);
      from = end;
    }
    source.copy(result, to, from);
    return result;
  }
}
