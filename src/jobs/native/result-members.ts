/** Members of one JSON object, read in place: bodies keep their bytes. Its top level is scanned once. */
import { scanObject } from '../../wire/json-scan.ts';
import { readString } from '../../wire/json-values.ts';
import type { BodyMember } from '../../wire/request-body.ts';

export class ResultMembers {
  readonly #json: Uint8Array;
  readonly #members: readonly BodyMember[];

  /** Anything that is not a JSON object has no members. */
  constructor(json: Uint8Array) {
    const scan = scanObject(json);
    this.#json = json;
    this.#members = scan.ok ? scan.members : [];
  }

  /** The bytes of an object; null: there is no such member, or it is not an object. */
  bytes(name: string): Uint8Array | null {
    const found = this.#find(name);
    return found === null || this.#json[found.start] !== 0x7b ? null : this.#json.subarray(found.start, found.end);
  }

  /** The members of an object. */
  object(name: string): ResultMembers | null {
    const bytes = this.bytes(name);
    return bytes === null ? null : new ResultMembers(bytes);
  }

  /** A string, or a number as it is written; null: there is no such member. */
  text(name: string): string | null {
    const found = this.#find(name);
    if (found === null) return null;
    const text = readString(this.#json, found);
    if (text !== null) return text;
    const written = Buffer.from(this.#json.subarray(found.start, found.end)).toString('latin1');
    return /^[\d.]+$/.test(written) ? written : null;
  }

  #find(name: string): BodyMember | null {
    return this.#members.findLast((member) => member.name === name) ?? null;
  }
}
