/**
 * Content codings, event by event: what a caller can decode of a stream is what was sent so far, as with a proxy that
 * flushes. Each coding's own way of being put together from pieces is used.
 */
import { brotliCompressSync, constants, crc32, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import type { Answer, Step } from './answer.ts';
import { headed, rebodied } from './answer-edits.ts';

/** How a coding is put together: what stands before all pieces, each piece, and what stands after. */
interface Coding {
  token: string;
  whole(body: Buffer): Buffer;
  begin: Buffer;
  piece(bytes: Buffer): Buffer;
  end(all: Buffer): Buffer;
}

const NOTHING = Buffer.alloc(0);

/** Ends at a byte border and looks back at nothing, so that pieces may stand one after the other (RFC 1951, 3.2.4). */
const flushed = (bytes: Buffer): Buffer => deflateRawSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH });

/** The last block of deflate, empty. */
const LAST_BLOCK = Buffer.from([0x03, 0x00]);

const BROTLI_BLOCK_MAX = 65_536;

export const CODINGS = {
  /** Members one after the other (RFC 1952, 2.2). */
  gzip: { token: 'gzip', whole: (body) => gzipSync(body), begin: NOTHING, piece: (bytes) => gzipSync(bytes), end: () => NOTHING },
  /** One member, flushed after each event, as nginx sends it. */
  gzipOne: {
    token: 'gzip',
    whole: (body) => gzipSync(body),
    begin: Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]),
    piece: flushed,
    end: (all) => Buffer.concat([LAST_BLOCK, uint32(crc32(all)), uint32(all.length)]),
  },
  deflate: {
    token: 'deflate',
    whole: (body) => deflateSync(body),
    begin: Buffer.from([0x78, 0x9c]),
    piece: flushed,
    // The check sum at the end is the same however the data was packed.
    end: (all) => Buffer.concat([LAST_BLOCK, deflateSync(all).subarray(-4)]),
  },
  /** Blocks that are stored as they are: node has no way to flush Brotli synchronously (RFC 7932, 9.2). */
  br: {
    token: 'br',
    whole: (body) => brotliCompressSync(body),
    // A window of 64 KB, then an empty block of metadata, which ends at a byte border.
    begin: Buffer.from([0x0c]),
    piece: storedBrotli,
    end: () => Buffer.from([0x03]),
  },
  /** Frames one after the other (RFC 8878, 3). */
  zstd: {
    token: 'zstd',
    whole: (body) => zstdCompressSync(body),
    begin: NOTHING,
    piece: (bytes) => zstdCompressSync(bytes),
    end: () => NOTHING,
  },
} satisfies Record<string, Coding>;

/** The answer in a coding. */
export function encoded(answer: Answer, coding: Coding): Answer {
  const named = headed(answer, { 'content-encoding': coding.token });
  if (!answer.streamed) return rebodied(named, (body) => coding.whole(body));
  const sent: Buffer[] = [];
  const steps = named.steps.map((step): Step => {
    if (step.do === 'repeat') return { ...step, bytes: coding.piece(Buffer.from(step.bytes as string)) };
    if (step.do !== 'send') return step;
    const bytes = Buffer.from(step.bytes as string);
    sent.push(bytes);
    const piece = coding.piece(bytes);
    return { ...step, bytes: sent.length === 1 ? Buffer.concat([coding.begin, piece]) : piece };
  });
  if (coding.token !== 'gzip' || coding.begin.length > 0) steps.push({ do: 'send', part: 'body', bytes: coding.end(Buffer.concat(sent)) });
  return { ...named, steps };
}

/** Not compressed: a header of 20 bits (not last, four digits of length, the length, stored) and the bytes. */
function storedBrotli(bytes: Buffer): Buffer {
  const blocks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += BROTLI_BLOCK_MAX) {
    const data = bytes.subarray(at, at + BROTLI_BLOCK_MAX);
    const header = ((data.length - 1) << 3) | (1 << 19);
    blocks.push(Buffer.from([header & 0xff, (header >> 8) & 0xff, header >> 16]), data);
  }
  return Buffer.concat(blocks);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}
