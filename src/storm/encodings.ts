/**
 * Content codings applied event by event: everything sent so far can be decoded, as behind a proxy that flushes. Each
 * coding is concatenated in its own way.
 */
import { brotliCompressSync, constants, crc32, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import type { ResponseScript, Step } from './response-script.ts';
import { setHeaders, withBodyBytes } from './script-edits.ts';

/** How a coding is assembled: a header, encoded blocks and a trailer. */
interface Coding {
  token: string;
  whole(body: Buffer): Buffer;
  begin: Buffer;
  block(bytes: Buffer): Buffer;
  end(all: Buffer): Buffer;
}

const NOTHING = Buffer.alloc(0);

/** Ends at a byte boundary and has no back-references, so that blocks can be concatenated (RFC 1951, 3.2.4). */
const flushed = (bytes: Buffer): Buffer => deflateRawSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH });

/** An empty final deflate block. */
const LAST_BLOCK = Buffer.from([0x03, 0x00]);

const BROTLI_BLOCK_MAX = 65_536;

export const CODINGS = {
  /** Concatenated members (RFC 1952, 2.2). */
  gzip: { token: 'gzip', whole: (body) => gzipSync(body), begin: NOTHING, block: (bytes) => gzipSync(bytes), end: () => NOTHING },
  /** One member, flushed after each event as nginx does. */
  gzipOne: {
    token: 'gzip',
    whole: (body) => gzipSync(body),
    begin: Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]),
    block: flushed,
    end: (all) => Buffer.concat([LAST_BLOCK, uint32(crc32(all)), uint32(all.length)]),
  },
  deflate: {
    token: 'deflate',
    whole: (body) => deflateSync(body),
    begin: Buffer.from([0x78, 0x9c]),
    block: flushed,
    // The trailing checksum does not depend on how the data was compressed.
    end: (all) => Buffer.concat([LAST_BLOCK, deflateSync(all).subarray(-4)]),
  },
  /** Stored (uncompressed) blocks: Node cannot flush Brotli synchronously (RFC 7932, 9.2). */
  br: {
    token: 'br',
    whole: (body) => brotliCompressSync(body),
    // A 64 KB window, then an empty metadata block, which ends at a byte boundary.
    begin: Buffer.from([0x0c]),
    block: storedBrotli,
    end: () => Buffer.from([0x03]),
  },
  /** Concatenated frames (RFC 8878, 3). */
  zstd: {
    token: 'zstd',
    whole: (body) => zstdCompressSync(body),
    begin: NOTHING,
    block: (bytes) => zstdCompressSync(bytes),
    end: () => NOTHING,
  },
} satisfies Record<string, Coding>;

/** Applies a content coding to a response. */
export function applyCoding(script: ResponseScript, coding: Coding): ResponseScript {
  const named = setHeaders(script, { 'content-encoding': coding.token });
  if (!script.streamed) return withBodyBytes(named, (body) => coding.whole(body));
  const sent: Buffer[] = [];
  const steps = named.steps.map((step): Step => {
    if (step.do === 'repeat') return { ...step, bytes: coding.block(Buffer.from(step.bytes as string)) };
    if (step.do !== 'send') return step;
    const bytes = Buffer.from(step.bytes as string);
    sent.push(bytes);
    const block = coding.block(bytes);
    return { ...step, bytes: sent.length === 1 ? Buffer.concat([coding.begin, block]) : block };
  });
  if (coding.token !== 'gzip' || coding.begin.length > 0) steps.push({ do: 'send', part: 'body', bytes: coding.end(Buffer.concat(sent)) });
  return { ...named, steps };
}

/** An uncompressed block: a 20-bit header (not last, four nibbles of length, the length, stored) and the bytes. */
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
