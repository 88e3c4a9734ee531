/**
 * Opaque pieces: signatures of thinking, encrypted reasoning, thought signatures. A provider can read only those that it
 * made itself, for the same account and the same model, and refuses all others. A piece holds hashes of the key and the
 * model that it was made for, and a MAC over these and the text that it vouches for.
 */
import { createHash, createHmac } from 'node:crypto';

/** What a piece is; a piece of one kind is no good as another. */
export type SealKind = 'thinking' | 'reasoning' | 'compaction' | 'thought';

/** Whom a piece is for. */
export interface SealOwner {
  readonly key: string;
  readonly model: string;
}

/** `broken`: not made by this provider, or altered, or for another text. */
export type SealVerdict = 'good' | 'broken' | 'other key' | 'other model';

export interface Seals {
  /** Makes a piece that vouches for `text`. `serial` makes it differ from others for the same text. */
  seal(kind: SealKind, owner: SealOwner, text: string, serial: number): string;
  verify(kind: SealKind, piece: unknown, owner: SealOwner, text: string): SealVerdict;
  /** A short text that no other provider gives to the same number, for ids. */
  idOf(serial: number): string;
}

const HASH_BYTES = 8;
const SERIAL_BYTES = 4;
const MAC_BYTES = 20;
/** As real pieces are, far longer than what it must hold: what a gateway copies and stores is of real size. */
const PADDING = 160;
/** Characters that are read of a piece; a longer one is broken anyway. */
const PIECE_LENGTH = 512;

/** Makes the seals of a provider. `identity` is read when it is first needed; providers of the same identity read each other's pieces. */
export function createSeals(identity: () => string): Seals {
  /** The piece whose head is given. */
  function toPiece(head: Buffer, kind: SealKind, text: string): string {
    const mac = createHmac('sha256', identity()).update(head).update(`${kind}\0${text}`).digest();
    return Buffer.concat([head, mac.subarray(0, MAC_BYTES), Buffer.alloc(PADDING, head)]).toString('base64');
  }

  return {
    seal(kind, { key, model }, text, serial) {
      const number = Buffer.alloc(SERIAL_BYTES);
      number.writeUInt32BE(serial >>> 0);
      return toPiece(Buffer.concat([hash(key), hash(model), number]), kind, text);
    },
    verify(kind, piece, { key, model }, text) {
      if (typeof piece !== 'string') return 'broken';
      const head = Buffer.from(piece.slice(0, PIECE_LENGTH), 'base64').subarray(0, 2 * HASH_BYTES + SERIAL_BYTES);
      if (head.length === 0 || toPiece(head, kind, text) !== piece) return 'broken';
      if (!hash(key).equals(head.subarray(0, HASH_BYTES))) return 'other key';
      return hash(model).equals(head.subarray(HASH_BYTES, 2 * HASH_BYTES)) ? 'good' : 'other model';
    },
    idOf: (serial) => createHmac('sha256', identity()).update(`id ${serial}`).digest('hex').slice(0, 48),
  };
}

function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest().subarray(0, HASH_BYTES);
}
