/**
 * Opaque values: thinking signatures, encrypted reasoning, thought signatures. A provider accepts only values that it
 * created itself, for the same account and model. A sealed value contains hashes of its key and model, and a MAC over
 * these and the text that it authenticates.
 */
import { createHash, createHmac } from 'node:crypto';

/** Kind of a sealed value. A value of one kind is invalid as another. */
export type SealKind = 'thinking' | 'reasoning' | 'compaction' | 'thought';

/** The key and model that a value is sealed for. */
export interface SealOwner {
  readonly key: string;
  readonly model: string;
}

/** `broken`: not created by this provider, altered, or for another text. */
export type SealVerdict = 'good' | 'broken' | 'other key' | 'other model';

export interface Seals {
  /** Creates a value that authenticates `text`. `serial` makes values for the same text differ. */
  seal(kind: SealKind, owner: SealOwner, text: string, serial: number): string;
  verify(kind: SealKind, sealed: unknown, owner: SealOwner, text: string): SealVerdict;
  /** An identifier unique to this provider and number. */
  idOf(serial: number): string;
}

const HASH_BYTES = 8;
const SERIAL_BYTES = 4;
const MAC_BYTES = 20;
/** Pads values to a realistic size, so that gateways copy and store realistic amounts. */
const PADDING = 160;
/** Characters read when verifying; a longer value is invalid. */
const SEALED_LENGTH_MAX = 512;

/** Creates the seals of a provider. `identity` is read on first use; providers with the same identity accept each other's values. */
export function createSeals(identity: () => string): Seals {
  /** The sealed value for a given head. */
  function toSealed(head: Buffer, kind: SealKind, text: string): string {
    const mac = createHmac('sha256', identity()).update(head).update(`${kind}\0${text}`).digest();
    return Buffer.concat([head, mac.subarray(0, MAC_BYTES), Buffer.alloc(PADDING, head)]).toString('base64');
  }

  return {
    seal(kind, { key, model }, text, serial) {
      const number = Buffer.alloc(SERIAL_BYTES);
      number.writeUInt32BE(serial >>> 0);
      return toSealed(Buffer.concat([hash(key), hash(model), number]), kind, text);
    },
    verify(kind, sealed, { key, model }, text) {
      if (typeof sealed !== 'string') return 'broken';
      const head = Buffer.from(sealed.slice(0, SEALED_LENGTH_MAX), 'base64').subarray(0, 2 * HASH_BYTES + SERIAL_BYTES);
      if (head.length === 0 || toSealed(head, kind, text) !== sealed) return 'broken';
      if (!hash(key).equals(head.subarray(0, HASH_BYTES))) return 'other key';
      return hash(model).equals(head.subarray(HASH_BYTES, 2 * HASH_BYTES)) ? 'good' : 'other model';
    },
    idOf: (serial) => createHmac('sha256', identity()).update(`id ${serial}`).digest('hex').slice(0, 48),
  };
}

function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest().subarray(0, HASH_BYTES);
}
